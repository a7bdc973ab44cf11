# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One host, one download: who holds it, whether that holder is alive, and how to ask it to stop.

On a local disk the kernel knows: it frees a flock when its holder dies. On a shared file system neither locks nor
process ids mean much to another host, so there the holder also counts up a number in the lock file, and only a number
that stands still makes it dead.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk import existing_parent, write_problem
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.journal import boot_id

BEAT_SECONDS = 5.0
LEASE_SECONDS = 30.0
SETTLE_SECONDS = 2.0
_SHARED = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "9p", "ocfs2", "gfs2",
    "afs", "virtiofs",
}  # fmt: skip


@dataclass(frozen=True)
class Places:
    """The names of everything that a transfer leaves beside its output while it runs."""

    anchor: str

    @property
    def journal(self) -> str:
        return self.anchor + ".partial.journal"

    @property
    def status(self) -> str:
        return self.anchor + ".partial.json"

    @property
    def lock(self) -> str:
        return self.anchor + ".partial.lock"

    @property
    def stop(self) -> str:
        return self.anchor + ".partial.stop"


@dataclass(frozen=True)
class Holder:
    """Who works on a transfer."""

    host: str
    boot_id: str
    pid: int
    started: float
    beat: int = 0

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_process() -> Holder:
    return Holder(socket.gethostname(), boot_id(), os.getpid(), round(time.time(), 3))


def is_shared(path: str, mountinfo: str = "/proc/self/mountinfo") -> bool:
    """Whether other hosts may write to the file system that a path lies on."""
    directory = os.path.realpath(existing_parent(path))
    best, kind = "", ""
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                fields, _dash, rest = line.partition(" - ")
                point = fields.split(" ")[4].replace("\\040", " ")
                inside = directory == point or directory.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best):
                    best, kind = point, rest.split(" ")[0]
    except OSError:
        return False
    return kind in _SHARED or kind.startswith("fuse")


class Hold:
    """The lock, held by this process from ``acquire`` to ``release``."""

    def __init__(self, places: Places, descriptor: int, holder: Holder) -> None:
        self._places = places
        self._descriptor = descriptor
        self.holder = holder
        self._beat = 0
        self._beaten_at = 0.0

    def begin(self) -> None:
        """Say who holds it; a wish to stop was meant for an earlier holder."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._places.stop)
        self.beat()

    def beat(self) -> None:
        """Tell other hosts that this holder is alive; to be called often."""
        now = time.monotonic()
        if self._beat and now - self._beaten_at < BEAT_SECONDS:
            return
        self._beat += 1
        self._beaten_at = now
        record = json.dumps({**self.holder.__dict__, "beat": self._beat}).encode()
        os.pwrite(self._descriptor, record.ljust(512), 0)

    def stop_requested(self) -> bool:
        return os.path.exists(self._places.stop)

    def release(self) -> None:
        for path in (self._places.lock, self._places.stop):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        os.close(self._descriptor)


class Held(Exception):
    """Somebody else works on it, alive."""

    def __init__(self, holder: Optional[Holder]) -> None:
        super().__init__(str(holder))
        self.holder = holder


def acquire(places: Places, *, shared: bool, sleep: Callable[[float], None] = time.sleep) -> Hold:
    """The lock; raises Held when a living process has it."""
    while True:
        try:
            descriptor = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise write_problem(places.lock, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(descriptor)
            os.close(descriptor)
            raise Held(holder) from None
        except OSError:
            # A file system without locks: the number in the file must do.
            shared = True
        if not _is_at(places.lock, descriptor):
            # Its holder released it between our open and our lock, and took the file away.
            os.close(descriptor)
            continue
        if shared:
            _outwait(descriptor, sleep)
        hold = Hold(places, descriptor, this_process())
        hold.begin()
        if shared:
            sleep(SETTLE_SECONDS)
            holder = _read(descriptor)
            if holder is None or (holder.host, holder.pid) != (hold.holder.host, hold.holder.pid):
                os.close(descriptor)
                raise Held(holder)
        return hold


def current_holder(places: Places) -> Optional[Holder]:
    """Who works on it now, as far as this host can tell without waiting; None when nobody does."""
    try:
        descriptor = os.open(places.lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _read(descriptor)
        return None
    finally:
        os.close(descriptor)


def _outwait(descriptor: int, sleep: Callable[[float], None]) -> None:
    """On a shared file system: watch another host's record until it moves (alive) or stood still too long (dead)."""
    holder = _read(descriptor)
    here = this_process()
    if holder is None or (holder.host == here.host and (holder.boot_id != here.boot_id or not _lives(holder.pid))):
        return
    waited = 0.0
    while waited < LEASE_SECONDS:
        sleep(BEAT_SECONDS / 2)
        waited += BEAT_SECONDS / 2
        now = _read(descriptor)
        if now is None:
            return
        if now != holder:
            os.close(descriptor)
            raise Held(now)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(descriptor: int) -> Optional[Holder]:
    try:
        content: Dict[str, Any] = json.loads(os.pread(descriptor, 4096, 0))
        return Holder(
            str(content["host"]),
            str(content["boot_id"]),
            int(content["pid"]),
            float(content["started"]),
            int(content["beat"]),
        )
    except (ValueError, KeyError, TypeError, OSError):
        return None


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
