# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What preflight looks at on a host: files of /proc, file systems, the clock. Reads only."""

from __future__ import annotations

import os
import pwd
import stat
import time
from collections.abc import Iterable
from typing import Optional

from ansible_collections.gguf.fleet.plugins.module_utils._preflight.checks import MIB, Disk

PROBE_BYTES = 256 * MIB
SMALLEST_PROBE_BYTES = 16 * MIB
LISTENING = "0A"


def disk_of(path: str) -> Disk:
    """The file system of a directory that need not exist yet."""
    place = os.path.realpath(path)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    free = os.statvfs(place)
    present = sum(os.stat(name).st_blocks * 512 for name in files_below(path))
    return Disk(path, free.f_bavail * free.f_frsize, _file_system(place), os.stat(place).st_dev, present)


def _file_system(place: str) -> str:
    best, kind = "", "unknown"
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
        for line in mounts:
            words = line.split()
            where = words[1].replace("\\040", " ")
            inside = place == where or place.startswith(where.rstrip("/") + "/")
            if inside and len(where) >= len(best):
                best, kind = where, words[2]
    return kind


def files_below(path: str) -> list[str]:
    """Regular files, at most two directories deep: models, not somebody's whole disk."""
    found = []
    for folder, folders, names in os.walk(path):
        if folder[len(path) :].count(os.sep) >= 2:
            folders.clear()
        for name in names:
            whole = os.path.join(folder, name)
            if stat.S_ISREG(os.lstat(whole).st_mode):
                found.append(whole)
    return found


def read_speed(path: str) -> Optional[float]:
    """Bytes a second from the disk, by part of the largest file there; None when there is nothing to read yet."""
    sizes = [(os.path.getsize(name), name) for name in files_below(path)]
    size, name = max(sizes, default=(0, ""))
    if size < SMALLEST_PROBE_BYTES:
        return None
    with open(name, "rb", buffering=0) as file:
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


def first_refused(path: str, user: str) -> Optional[str]:
    """The first directory on the way that the user may not walk through; None when all is well or not there yet."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return None
    groups = set(os.getgrouplist(user, account.pw_gid))
    walked = ""
    for part in [part for part in os.path.realpath(path).split(os.sep) if part]:
        walked += os.sep + part
        try:
            entry = os.stat(walked)
        except FileNotFoundError:
            return None
        if account.pw_uid == entry.st_uid:
            allowed = entry.st_mode & stat.S_IXUSR
        elif entry.st_gid in groups:
            allowed = entry.st_mode & stat.S_IXGRP
        else:
            allowed = entry.st_mode & stat.S_IXOTH
        if not allowed:
            return walked
    return None


def ram_total_bytes() -> int:
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:"))


def holders_of(ports: Iterable[int], tables: Iterable[str] = ("/proc/net/tcp", "/proc/net/tcp6")) -> dict[int, str]:
    """Who listens on these ports: program and pid, or "another container" when the program is not to be seen."""
    wanted = set(ports)
    sockets: dict[str, int] = {}
    for table in tables:
        try:
            with open(table, encoding="ascii") as lines:
                next(lines, None)
                for line in lines:
                    words = line.split()
                    port = int(words[1].rpartition(":")[2], 16)
                    if words[3] == LISTENING and port in wanted:
                        sockets[words[9]] = port
        except FileNotFoundError:
            continue
    held = dict.fromkeys(sockets.values(), "a program that is not to be seen from here")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for inode in _sockets_of(pid) & set(sockets):
            held[sockets[inode]] = f"{program_of(pid)} (pid {pid})"
    return held


def _sockets_of(pid: str) -> set[str]:
    found = set()
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        pass
    return found


def program_of(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "?"


def runs(program: str) -> bool:
    """Whether a process of this name runs; the kernel keeps 15 characters of it."""
    return any(program_of(pid) == program[:15] for pid in filter(str.isdigit, os.listdir("/proc")))
