# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A build on a host: unpacked, configured, compiled and packed, as a user of its own.

What was done stays when a run ends early, however it ends: the next one goes on there. When it is packed, only the
compiler's cache is left.
"""

from __future__ import annotations

import os
import re
import stat
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._build import machine, output, result, unpack
from ansible_collections.gguf.fleet.plugins.module_utils._build.problem import BuildProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import open_regular
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_entry
from ansible_collections.gguf.fleet.plugins.module_utils._files.streaming import write_stream
from ansible_collections.gguf.fleet.plugins.module_utils._host import memory
from ansible_collections.gguf.fleet.plugins.module_utils._host.disk import free_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._install import account, engines, fetch
from ansible_collections.gguf.fleet.plugins.module_utils._process.own_user import User, end_all, run_as
from ansible_collections.gguf.fleet.plugins.module_utils._process.programs import find_program

USER = account.Wanted("gguf-build", "/var/lib/gguf-build", "builds llama.cpp", ())
ENGINE = engines.ENGINES["llama_cpp"]
# The same target by the name that it had before.
_EARLIER = {"ggml-rpc-server": "rpc-server"}
_BYTES_A_JOB = 1536 << 20
_CACHE_SIZE = "5G"
_GIB = 1 << 30
_LOG_BYTES = 16 << 20
_VERSION = re.compile(r"b\d+-[0-9a-f]{8}\Z")

# phase, percent, what is being done
Report = Callable[[str, int, str], object]


@dataclass(frozen=True)
class Request:
    """version: the name of the build. source: an archive of this host, with its sha256.

    definitions: arguments of cmake. dest: the archive that is to be made, in a directory of root's. room_bytes: what
    the build may take. jobs: how many compilers run at once, 0 for as many as the CPUs and the memory allow. seconds:
    how long it may take.
    """

    version: str
    source: str
    source_sha256: str
    definitions: Sequence[str]
    targets: Sequence[str]
    dest: str
    room_bytes: int
    jobs: int = 0
    ccache: bool = True
    seconds: float = 6 * 3600.0


@dataclass(frozen=True)
class Built:
    """The archive, and which of the targets the source does not have."""

    sha256: str
    size_bytes: int
    missing: Tuple[str, ...] = ()
    seconds: float = 0.0


def check_tools(definitions: Sequence[str]) -> None:
    """Raises BuildProblem where a compiler is missing."""
    lacks = machine.look_for_tools()
    if "-DGGML_CUDA=ON" in definitions and not machine.cuda_compiler():
        lacks.append("nvcc of the CUDA toolkit")
    if lacks:
        raise BuildProblem(
            f"this host cannot build llama.cpp: it lacks {', '.join(lacks)}.",
            "Install it, or name the packages that bring it in llama_cpp_build_packages. Nothing was changed.",
        )


def there(dest: str) -> bool:
    """Whether an earlier run has made it already."""
    return os.path.isfile(dest)


def build(request: Request, report: Report) -> Built:
    """Make the archive. Raises a Problem or OSError; then what serves is as it was, and the next run goes on."""
    began = time.monotonic()
    with Directory.open_private(os.path.dirname(request.dest), make=True, mode=0o700):
        if there(request.dest):
            return _told(request.dest, (), began)
        check_tools(request.definitions)
        account.make_present(USER)
        found = account.find_user(USER.name)
        if found is None or found.pw_uid == 0:
            raise BuildProblem(f"there is no user {USER.name}.", "Look at /etc/passwd, then run again.")
        user = User(found.pw_uid, found.pw_gid)
        with _home(found.pw_dir, user) as home:
            missing = build_in(home, user, request, report)
    return _told(request.dest, missing, began)


def build_in(home: Directory, user: User, request: Request, report: Report) -> Tuple[str, ...]:
    """The same in an open directory of the user's; the targets that the source does not have."""
    # A run that was killed may have left a compiler behind.
    end_all(user)
    for name in home.names():
        if _VERSION.match(name) and name != request.version:
            # Given up: another version is wanted by now.
            remove_entry(home, name)
    _check_room(home, request)
    with home.enter(request.version, make=True, owner=(user.uid, user.gid)) as work:
        missing = _Work(request, user, home, work, report).run()
    end_all(user)
    remove_entry(home, request.version)
    return missing


def _told(dest: str, missing: Tuple[str, ...], began: float) -> Built:
    with os.fdopen(open_regular(dest), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        return Built(fetch.sha256_of(file), size, missing, time.monotonic() - began)


def _home(path: str, user: User) -> Directory:
    home = Directory.open(path)
    status = os.fstat(home.fd)
    if status.st_uid not in (user.uid, 0) or status.st_mode & 0o022:
        home.close()
        raise BuildProblem(f"{path} is not {USER.name}'s alone.", f"chown {USER.name}: {path} && chmod 0755 {path}")
    return home


def _check_room(home: Directory, request: Request) -> None:
    used = 0
    if home.status(request.version) is not None:
        with home.enter(request.version) as work:
            used = _used_bytes(work)
    free, needed = free_bytes(home.fd), request.room_bytes - used
    if free < needed:
        raise BuildProblem(
            f"a build of llama.cpp may take {needed / _GIB:.1f} GiB, and {home.path} has {free / _GIB:.1f} GiB free.",
            "Make room there, or mount a larger disk at it. Nothing was changed.",
        )


def _used_bytes(top: Directory) -> int:
    used = 0
    for name in top.names():
        status = top.status(name)
        if status is None:
            continue
        used += status.st_blocks * 512
        if stat.S_ISDIR(status.st_mode):
            with top.enter(name) as below:
                used += _used_bytes(below)
    return used


class _Work:
    """One build in its directory."""

    def __init__(self, request: Request, user: User, home: Directory, work: Directory, report: Report) -> None:
        self._request = request
        self._user = user
        self._home = home
        self._work = work
        self._report = report
        self._tail = output.Tail()
        self._log: List[str] = []
        self._logged_bytes = 0
        self._percent = 0
        self._step = ""
        self._end = time.monotonic() + request.seconds

    def run(self) -> Tuple[str, ...]:
        owner = (self._user.uid, self._user.gid)
        self._report("unpack", 0, "")
        way = unpack.unpacked(
            self._work, self._user, self._request.source, self._request.source_sha256, self._request.definitions
        )
        for place, name in ((self._work, "tmp"), (self._home, "ccache")):
            place.enter(name, make=True, owner=owner).close()
        self._report("configure", 0, "")
        self._cmake("configure", ["-S", way, "-B", "build", *self._definitions()])
        targets, missing = self._targets()
        self._cmake("build", ["--build", "build", "--parallel", str(self._jobs()), "--target", *targets])
        self._report("pack", 100, "")
        # Nothing of the user changes what is being read.
        end_all(self._user)
        engines.prove(ENGINE, os.path.join(self._work.path, "build"), self._request.version)
        with self._work.enter("build") as made, made.enter("bin") as programs:
            uid = self._user.uid
            write_stream(self._request.dest, lambda sink: result.pack(programs, uid, targets, sink), mode=0o600)
        return missing

    def _definitions(self) -> List[str]:
        launcher = find_program("ccache") if self._request.ccache else None
        languages = ["C", "CXX"] + (["CUDA"] if "-DGGML_CUDA=ON" in self._request.definitions else [])
        # It is said here, and not found out there: both ways are the same build.
        own = [f"-DCMAKE_{language}_COMPILER_LAUNCHER={launcher or ''}" for language in languages]
        return [*self._request.definitions, *own, "-DGGML_CCACHE=OFF"]

    def _targets(self) -> Tuple[List[str], Tuple[str, ...]]:
        """Those of the wanted ones that the source has, and the others."""
        told = set()

        def line(text: str) -> None:
            words = text.replace("...", " ").replace(":", " ").split()
            told.update(words[:1])

        code = self._run(["--build", "build", "--target", "help"], line)
        if code != 0:
            raise BuildProblem(
                "cmake does not list the targets of the source.", "Look at the source. Nothing was changed."
            )
        found, missing = [], []
        for target in self._request.targets:
            name = next((name for name in (target, _EARLIER.get(target, target)) if name in told), None)
            if name is None:
                missing.append(target)
            else:
                found.append(name)
        if ENGINE.program not in found:
            raise BuildProblem(
                f"the source has no target {ENGINE.program}.",
                "Take a source of llama.cpp, and name llama-server in llama_cpp_build_targets. Nothing was changed.",
            )
        return found, tuple(missing)

    def _jobs(self) -> int:
        by_memory = max(1, memory.total_bytes() // _BYTES_A_JOB)
        return self._request.jobs or min(os.cpu_count() or 1, by_memory)

    def _cmake(self, phase: str, arguments: Sequence[str]) -> None:
        def line(text: str) -> None:
            self._tail.add(text)
            self._logged(text)
            step = output.step_of(text)
            if step:
                self._percent, self._step = step
                self._report(phase, self._percent, self._step)

        code = self._run(arguments, line)
        if code == 0:
            return
        log = self._keep_log()
        at = f" at {self._percent} %" if phase == "build" else ""
        told = "\n".join(self._tail.errors())
        raise BuildProblem(
            f"llama.cpp {self._request.version} was not built: cmake ended with {code} in its {phase}{at}.\n{told}",
            f"Nothing that serves was changed. The whole output is in {log} on the host. When the reason is gone, run "
            "again: what was compiled is kept.",
        )

    def _run(self, arguments: Sequence[str], line: Callable[[str], object]) -> int:
        program = find_program("cmake")
        if program is None:
            raise BuildProblem("this host has no cmake.", "Install it, then run again.")
        left = self._end - time.monotonic()
        return run_as(
            self._user,
            [program, *arguments],
            directory=self._work.fd,
            environment=self._environment(),
            seconds=left,
            on_line=line,
        )

    def _environment(self) -> Dict[str, str]:
        return {
            "PATH": f"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{machine.CUDA_FOLDER}",
            "HOME": self._home.path,
            "TMPDIR": os.path.join(self._work.path, "tmp"),
            "CCACHE_DIR": os.path.join(self._home.path, "ccache"),
            "CCACHE_MAXSIZE": _CACHE_SIZE,
            "LC_ALL": "C",
        }

    def _logged(self, text: str) -> None:
        self._logged_bytes += len(text) + 1
        if self._logged_bytes <= _LOG_BYTES:
            self._log.append(text)

    def _keep_log(self) -> str:
        path = os.path.join(os.path.dirname(self._request.dest), "build.log")
        content = "\n".join(self._log).encode("utf-8", "replace") + b"\n"
        write_stream(path, lambda sink: sink.write(content), mode=0o600)
        return path
