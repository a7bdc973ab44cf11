# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What preflight looks at on a host: files of /proc, file systems, the clock. Reads only."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import stat
import time
import urllib.parse
import urllib.request
from collections.abc import Collection, Iterator
from typing import Callable, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import open_input
from ansible_collections.gguf.fleet.plugins.module_utils._host import processes
from ansible_collections.gguf.fleet.plugins.module_utils._host.disk import existing_directory, free_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._host.mounts import mount_of
from ansible_collections.gguf.fleet.plugins.module_utils._host.users import name_of
from ansible_collections.gguf.fleet.plugins.module_utils._http.client import HttpClient
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.checks import Disk, Way
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.finding import MIB
from ansible_collections.gguf.fleet.plugins.module_utils._process.bounded import ProcessProblem, run_bounded
from ansible_collections.gguf.fleet.plugins.module_utils._process.programs import find_program
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines, printable

PROBE_BYTES = 256 * MIB
SMALLEST_PROBE_BYTES = 16 * MIB
FICLONE = 0x40049409  # linux/fs.h
_MAX_NAME_CHARACTERS = 64  # the kernel keeps 15
REACH_SECONDS = 15.0
# What the HTTP client calls a server that was not reached; every other reason is an answer.
_NO_WAY = (
    "unreachable",
    "untrusted-certificate",
    "stall",
    "reset",
    "bad-url",
    "bad-proxy",
    "bad-answer",
    "bad-ca-file",
)
PROGRAM_SECONDS = 60.0
KERNEL_LOG_BYTES = 64 * MIB
TIME_ERROR = 5  # sys/timex.h: the kernel's clock is not synchronised

# (exit code, standard output, standard error) of a program with its arguments.
Run = Callable[[list[str]], tuple[int, str, str]]


def disk_of(path: str) -> Disk:
    """The file system of a directory that need not exist yet."""
    place = existing_directory(path)
    present = sum(status.st_blocks * 512 for _name, status in _statuses(path))
    mount = mount_of(place)
    return Disk(path, free_bytes(place), mount.kind, mount.point, _shares_bytes(place), present)


def _shares_bytes(place: str) -> Optional[bool]:
    """Tries a reflink between two files without a name, of which nothing stays."""
    try:
        with Directory.open(place) as folder:
            one, other = (os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600, dir_fd=folder.fd) for _file in range(2))
    except OSError:
        return None  # read-only, not ours, or a file system without such files
    try:
        fcntl.ioctl(one, FICLONE, other)
    except OSError:
        return False
    finally:
        os.close(one)
        os.close(other)
    return True


def files_below(path: str) -> list[str]:
    """Regular files, at most two directories deep: models, not somebody's whole disk."""
    found = []
    for folder, folders, names in os.walk(path):
        if folder[len(path) :].count(os.sep) >= 2:
            folders.clear()
        for name in names:
            whole = os.path.join(folder, name)
            # What moves meanwhile is not looked at.
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISREG(os.lstat(whole).st_mode):
                    found.append(whole)
    return found


def _statuses(path: str) -> Iterator[tuple[str, os.stat_result]]:
    for name in files_below(path):
        with contextlib.suppress(FileNotFoundError):
            yield name, os.lstat(name)


def read_speed(path: str) -> Optional[float]:
    """Bytes a second from the disk, by part of the largest file there; None when there is nothing to read yet."""
    sizes = [(status.st_size, name) for name, status in _statuses(path)]
    size, name = max(sizes, default=(0, ""))
    if size < SMALLEST_PROBE_BYTES:
        return None
    try:
        descriptor = open_input(name).fd
    except OSError:
        return None  # somebody swapped it for a link or a pipe
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        offset = max(0, (size - PROBE_BYTES) // 2)
        # Or it would be the page cache that is measured.
        os.posix_fadvise(file.fileno(), offset, PROBE_BYTES, os.POSIX_FADV_DONTNEED)
        file.seek(offset)
        start = time.monotonic()
        done = 0
        while done < PROBE_BYTES:
            chunk = file.read(8 * MIB)
            if not chunk:
                break
            done += len(chunk)
        return done / max(time.monotonic() - start, 1e-6)


def holders_of(ports: Collection[int], proc: str = "/proc") -> dict[int, str]:
    """Who listens on these ports: program, pid and user.

    Only the user where the program is not to be seen, as by root in a container without CAP_SYS_PTRACE.
    """
    held = {}
    for socket in processes.connections(proc):
        if socket.state == processes.LISTEN and socket.local[1] in ports:
            holder, user = processes.holder({socket.inode}, proc), name_of(socket.uid)
            program = f"{printable(holder.name)} (pid {holder.pid})" if holder is not None else "a program"
            held[socket.local[1]] = f"{program} of the user {user}"
    return held


def program_of(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return printable(file.read(_MAX_NAME_CHARACTERS).strip())
    except OSError:
        return "?"


def runs(program: str) -> bool:
    """Whether a process of this name runs; the kernel keeps 15 characters of it."""
    return any(program_of(pid) == program[:15] for pid in filter(str.isdigit, os.listdir("/proc")))


def kernel_log(run: Run) -> Optional[list[str]]:
    """The kernel's lines since the start: all of them from the journal, else the ring buffer's. None: neither tells."""
    for command in (["journalctl", "--dmesg", "--boot", "--quiet", "--no-pager", "-o", "short-iso"], ["dmesg", "-T"]):
        code, out, _err = run(command)
        if code == 0 and out.strip():
            return lines(out)
    return None


def run_if_there(command: list[str]) -> tuple[int, str, str]:
    """A program of the system; one that is not there, hangs or does not stop talking told nothing."""
    program = find_program(command[0])
    if program is None:
        return 127, "", ""
    try:
        ended = run_bounded([program, *command[1:]], seconds=PROGRAM_SECONDS, limit_bytes=KERNEL_LOG_BYTES)
    except ProcessProblem as error:
        return 1, "", error.problem
    return ended.code, ended.stdout.decode("utf-8", "replace"), ended.stderr.decode("utf-8", "replace")


def clock_synchronised() -> Optional[bool]:
    """What the kernel thinks of its clock, whichever program keeps it."""
    timex = ctypes.create_string_buffer(256)  # more than struct timex; all zeros ask and set nothing
    state = ctypes.CDLL(None).adjtimex(timex)
    return None if state < 0 else state != TIME_ERROR


def reach(url: str, ca_file: Optional[str] = None) -> Way:
    """Whether an address answers, even with a refusal: that proves the way as well as a page does.

    ca_file: certificates to trust instead of the system's.
    """
    parts = urllib.parse.urlsplit(url)
    bypassed = urllib.request.proxy_bypass(parts.hostname or "")
    proxy = None if bypassed else urllib.request.getproxies().get(parts.scheme)
    client = HttpClient(timeout_seconds=REACH_SECONDS, ca_file=ca_file)
    try:
        client.open_range(url, 0, 1)
        refused = None
    except TransferError as error:
        refused = error.problem if error.reason in _NO_WAY else None
    finally:
        client.close()
    return Way(refused, _without_password(proxy))


def _without_password(address: Optional[str]) -> Optional[str]:
    return None if address is None else address.rpartition("@")[2] if "@" in address else address
