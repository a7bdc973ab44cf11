# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What makes an archive a release of an engine: the program that it must hold, and what that says of itself."""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import os
import re
import stat
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.plugins.module_utils._process.unproved import UnprovedProblem, run_unproved

VERSION_SECONDS = 60.0


@dataclass(frozen=True)
class Engine:
    """One engine's releases: the program in bin/, and how it tells its version."""

    name: str
    title: str
    program: str
    # Tried in this order; the first that matches is the version of this very program.
    version_patterns: Tuple[str, ...]
    # Told by programs that were built by hand and know no version.
    unversioned: Tuple[str, ...]
    # The environment for --version, so that a running server cannot answer in the program's place.
    environment: Tuple[Tuple[str, str], ...]
    # Older and newer archives name the directory of the programs differently.
    program_directories: Tuple[str, ...]


ENGINES: Dict[str, Engine] = {
    "ollama": Engine(
        name="ollama",
        title="Ollama",
        program="ollama",
        version_patterns=(r"client version is (\S+)", r"ollama version is (\S+)"),
        unversioned=("0.0.0",),
        environment=(("OLLAMA_HOST", "127.0.0.1:1"),),
        program_directories=("bin",),
    ),
    "llama_cpp": Engine(
        name="llama_cpp",
        title="llama.cpp",
        program="llama-server",
        # Today: "version: 0.7.0 (build 11669, commit …)"; until 2026: "version: 4610 (53debe6f)".
        version_patterns=(r"^version: \S+ \(build (\d+)", r"^version: (\d+) \("),
        unversioned=("0", "1"),
        environment=(),
        # Zip archives had build/bin, today's tar archives have llama-<tag>.
        program_directories=("bin", "build/bin", "llama-*", "."),
    ),
}


def release_number(engine: Engine, version: str) -> str:
    """The version as the program says it: llama.cpp's tags carry a b before the build number, builds more behind it."""
    return version[1:].partition("-")[0] if engine.name == "llama_cpp" and version.startswith("b") else version


def _program_directory(engine: Engine, tree: Directory) -> Optional[List[str]]:
    """The steps to the directory that holds the program, none of them a link."""
    for pattern in engine.program_directories:
        for steps in _matching(tree, [step for step in pattern.split("/") if step != "."], []):
            with _entered(tree, steps) as directory:
                status = directory.status(engine.program)
                if status is not None and stat.S_ISREG(status.st_mode):
                    return steps
    return None


def _matching(directory: Directory, patterns: Sequence[str], before: List[str]) -> Iterator[List[str]]:
    if not patterns:
        yield before
        return
    for name in fnmatch.filter(directory.names(), patterns[0]):
        status = directory.status(name)
        if status is not None and stat.S_ISDIR(status.st_mode):
            with directory.enter(name) as below:
                yield from _matching(below, patterns[1:], [*before, name])


@contextlib.contextmanager
def _entered(directory: Directory, steps: Sequence[str]) -> Iterator[Directory]:
    with contextlib.ExitStack() as opened:
        for step in steps:
            directory = opened.enter_context(directory.enter(step))
        yield directory


def arrange(engine: Engine, tree: Directory, source: str) -> None:
    """Bring an unpacked archive into the shape bin/<program>; refuse one that holds no such program."""
    steps = _program_directory(engine, tree)
    if steps is None:
        raise InstallProblem(
            f"{source} is not an archive of {engine.title}: it has no {engine.program_directories[0]}/{engine.program} "
            f"(it holds {_first_names(tree)}).",
            f"Give the {engine.title} archive for Linux and this architecture; nothing that serves was changed.",
        )
    if steps == ["bin"]:
        return
    if steps and tree.status("bin") is not None:
        raise InstallProblem(
            f"{source} has {engine.program} in {'/'.join(steps)}, and something else is bin.",
            f"Give the {engine.title} archive for Linux and this architecture; nothing that serves was changed.",
        )
    if steps:
        with _entered(tree, steps[:-1]) as parent:
            os.rename(steps[-1], "bin", src_dir_fd=parent.fd, dst_dir_fd=tree.fd)
        return
    names = tree.names()
    # Not "bin" yet: a flat archive may have a file of that name.
    with tree.enter(".flat", make=True) as flat:
        for name in names:
            os.rename(name, name, src_dir_fd=tree.fd, dst_dir_fd=flat.fd)
    os.rename(".flat", "bin", src_dir_fd=tree.fd, dst_dir_fd=tree.fd)


def add(engine: Engine, tree: Directory, extra: Directory) -> None:
    """Put an add-on (rocm, jetpack, cudart) over the release. llama.cpp's add-ons lie beside the programs."""
    if engine.name == "llama_cpp":
        with tree.enter("bin") as programs:
            _move(extra, programs, flat=True)
    else:
        _move(extra, tree, flat=False)


def _move(source: Directory, into: Directory, flat: bool) -> None:
    """Files and links replace those of the same name; directories are entered, never through a link."""
    for name in source.names():
        status = source.status(name)
        try:
            if status is None or not stat.S_ISDIR(status.st_mode):
                os.rename(name, name, src_dir_fd=source.fd, dst_dir_fd=into.fd)
            elif flat:
                with source.enter(name) as below:
                    _move(below, into, flat)
            else:
                with source.enter(name) as below, into.enter(name, make=True) as deeper:
                    _move(below, deeper, flat)
        except (PathProblem, IsADirectoryError) as error:
            raise InstallProblem(
                f"the add-on holds {name!r}, which is a link or a directory in the release, or the other way round.",
                "Take the add-on of the same release, from the official one.",
            ) from error


def _first_names(tree: Directory) -> str:
    names = list(itertools.islice(_all_names(tree, ""), 6))
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"


def _all_names(directory: Directory, way: str) -> Iterator[str]:
    for name in directory.names():
        status = directory.status(name)
        if status is not None and stat.S_ISDIR(status.st_mode):
            with directory.enter(name) as below:
                yield from _all_names(below, f"{way}{name}/")
        else:
            yield way + name


def told_version(engine: Engine, text: str) -> Optional[str]:
    for pattern in engine.version_patterns:
        found = re.search(pattern, text, re.MULTILINE)
        if found:
            return found.group(1)
    return None


def ask_version(engine: Engine, program: str) -> str:
    """Run the program's --version, as nobody; what it says, or why it does not run here."""
    try:
        answer = run_unproved([program, "--version"], seconds=VERSION_SECONDS, environment=dict(engine.environment))
    except UnprovedProblem as error:
        with contextlib.suppress(OSError):
            if os.statvfs(program).f_flag & os.ST_NOEXEC:
                raise InstallProblem(
                    f"{program} does not run on this host, for its file system is mounted noexec.",
                    "Mount a file system that runs programs there.",
                ) from error
        raise InstallProblem(
            f"{program} --version does not run on this host ({os.uname().machine}): {error.problem}",
            "Give the archive for this host's architecture and C library, and let others read the directories above.",
        ) from error
    text = (answer.stdout + b"\n" + answer.stderr).decode("utf-8", "replace")
    version = told_version(engine, text)
    if version is None:
        said = " ".join(text.split())[:300] or f"nothing (exit {answer.code})"
        raise InstallProblem(
            f"{program} --version does not print a version of {engine.title}; it says: {said}.",
            f"This is not a release of {engine.title} that runs on this host; nothing that serves was changed.",
        )
    return version


def prove(engine: Engine, tree: str, version: str) -> str:
    """The unpacked release answers --version, and it is the one that was asked for. Nobody must be able to reach it."""
    told = ask_version(engine, os.path.join(tree, "bin", engine.program))
    if told != release_number(engine, version) and told not in engine.unversioned:
        raise InstallProblem(
            f"the archive holds {engine.title} {told}, and {version} was asked for.",
            "Name the version that the archive has, or give the archive of the version.",
        )
    return told
