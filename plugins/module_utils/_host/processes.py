# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel says of processes and sockets, read from /proc."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from dataclasses import dataclass
from typing import Dict, List, Optional, Set, Tuple

LISTEN = "0A"
ESTABLISHED = "01"


@dataclass(frozen=True)
class Process:
    pid: int
    name: str
    command: str


@dataclass(frozen=True)
class Connection:
    local: Tuple[str, int]
    remote: Tuple[str, int]
    state: str
    uid: int
    inode: str


def _address(text: str) -> Tuple[str, int]:
    """0100007F:2CAA -> 127.0.0.1, 11434: words of four bytes in the order of the machine."""
    raw, port = text.split(":")
    words = [int(raw[i : i + 8], 16) for i in range(0, len(raw), 8)]
    data = b"".join(struct.pack("=I", word) for word in words)
    family = socket.AF_INET if len(data) == 4 else socket.AF_INET6
    address = socket.inet_ntop(family, data)
    return address[7:] if address.startswith("::ffff:") else address, int(port, 16)


def connections(proc: str = "/proc") -> List[Connection]:
    found = []
    for table in ("tcp", "tcp6"):
        try:
            with open(os.path.join(proc, "net", table), encoding="ascii") as stream:
                lines = stream.readlines()[1:]
        except OSError:  # a kernel without IPv6
            continue
        for line in lines:
            fields = line.split()
            found.append(Connection(_address(fields[1]), _address(fields[2]), fields[3], int(fields[7]), fields[9]))
    return found


def overlap(one: str, other: str) -> bool:
    """Whether two addresses to listen on exclude each other."""
    every = ("0.0.0.0", "::", "")
    return one == other or one in every or other in every


def listeners(address: str, port: int, proc: str = "/proc") -> List[Connection]:
    """The sockets that stand in the way of listening on address:port."""
    return [
        connection
        for connection in connections(proc)
        if connection.state == LISTEN and connection.local[1] == port and overlap(connection.local[0], address)
    ]


def clients(port: int, proc: str = "/proc") -> List[str]:
    """Remote addresses with an open connection to the port."""
    return sorted(
        f"{connection.remote[0]}:{connection.remote[1]}"
        for connection in connections(proc)
        if connection.state == ESTABLISHED and connection.local[1] == port
    )


def holder(inodes: Set[str], proc: str = "/proc") -> Optional[Process]:
    """The process that has one of the sockets open.

    None when there is none that we may look into: root in a container without CAP_SYS_PTRACE sees its own only.
    """
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in sorted((int(name) for name in os.listdir(proc) if name.isdigit()), reverse=True):
        directory = os.path.join(proc, str(pid), "fd")
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names:
            try:
                if os.readlink(os.path.join(directory, name)) in wanted:
                    return describe(pid, proc)
            except OSError:
                continue
    return None


def family(pid: int, proc: str = "/proc") -> List[int]:
    """The process and all below it."""
    below: Dict[int, List[int]] = {}
    for name in os.listdir(proc):
        if name.isdigit():
            parent = _parent(int(name), proc)
            if parent is not None:
                below.setdefault(parent, []).append(int(name))
    found = [pid]
    for member in found:
        found += [child for child in below.get(member, []) if child not in found]
    return found


def sockets(pid: int, proc: str = "/proc") -> Set[str]:
    """The inodes of the sockets that the process has open. Raises PermissionError where we may not look."""
    found = set()
    directory = os.path.join(proc, str(pid), "fd")
    for name in os.listdir(directory):
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(os.path.join(directory, name))
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    return found


def user(pid: int, proc: str = "/proc") -> Optional[int]:
    """The process's user. Its directory below /proc may be root's all the same, so that is not asked."""
    try:
        with open(os.path.join(proc, str(pid), "status"), encoding="utf-8", errors="replace") as stream:
            return next(int(line.split()[2]) for line in stream if line.startswith("Uid:"))
    except (OSError, StopIteration, IndexError, ValueError):
        return None


def start_time(pid: int, proc: str = "/proc") -> Optional[int]:
    """The kernel's start time of a living process; with the pid it names one process, whatever has the pid later."""
    try:
        with open(os.path.join(proc, str(pid), "stat"), encoding="utf-8", errors="replace") as stream:
            fields = stream.read().rsplit(")", 1)[1].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def age_seconds(pid: int, proc: str = "/proc") -> Optional[float]:
    """How long a living process has run, by the clock that stands still for nobody who sets the time."""
    started = start_time(pid, proc)
    try:
        with open(os.path.join(proc, "uptime"), encoding="ascii") as stream:
            up = float(stream.read().split()[0])
    except (OSError, IndexError, ValueError):
        return None
    return None if started is None else max(0.0, up - started / os.sysconf("SC_CLK_TCK"))


def describe(pid: int, proc: str = "/proc") -> Process:
    def text(name: str) -> str:
        try:
            with open(os.path.join(proc, str(pid), name), "rb") as stream:
                return stream.read().replace(b"\x00", b" ").decode("utf-8", "replace").strip()
        except OSError:
            return ""

    return Process(pid, text("comm"), text("cmdline")[:200])


def owner(pid: int, proc: str = "/proc") -> Optional[int]:
    try:
        return os.stat(os.path.join(proc, str(pid))).st_uid
    except OSError:
        return None


def ancestors(pid: int, proc: str = "/proc") -> List[int]:
    """The process and its parents, nearest first."""
    found: List[int] = []
    while pid > 0 and pid not in found:
        found.append(pid)
        pid = _parent(pid, proc) or 0
    return found


def _parent(pid: int, proc: str) -> Optional[int]:
    try:
        with open(os.path.join(proc, str(pid), "stat"), encoding="utf-8", errors="replace") as stream:
            return int(stream.read().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError, ValueError):
        return None
