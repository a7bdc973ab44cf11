# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One host, one download: who holds it, whether that holder is alive, and how to ask it to stop.

On a local disk the kernel knows: it frees a flock when its holder dies. On a shared file system neither locks nor
process ids mean much to another host, so there the holder also counts up a number in the lock file, and only a number
that stands still makes it dead. A network file system shows another host's writes only after they were synced there
and the file was opened anew here, so both is done each time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.own import open_or_make_own, open_own
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_file
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.files import write_problem
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.journal import boot_id

BEAT_SECONDS = 5.0
LEASE_SECONDS = 30.0
SETTLE_SECONDS = 2.0


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
    def spool(self) -> str:
        """The directory for what the controller sends."""
        return self.anchor + ".partial.spool"

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


class Hold:
    """The lock, held by this process from ``acquire`` to ``release``."""

    def __init__(self, places: Places, descriptor: int, holder: Holder, *, shared: bool) -> None:
        self._places = places
        self._descriptor = descriptor
        self._shared = shared
        self.holder = holder
        self._beat = 0
        self._taken_by: Optional[Held] = None
        self._released = threading.Event()
        self._heart = threading.Thread(target=self._live, name="lease", daemon=True)

    def begin(self) -> None:
        """Say who holds it; a wish to stop was meant for an earlier holder."""
        remove_file(self._places.stop)
        self.beat()

    def keep(self) -> None:
        """From now on tell other hosts that this holder is alive."""
        if self._shared:
            self._heart.start()

    def beat(self) -> None:
        self._beat += 1
        record = json.dumps({**self.holder.__dict__, "beat": self._beat}).encode()
        os.pwrite(self._descriptor, record.ljust(512), 0)
        if self._shared:
            os.fsync(self._descriptor)

    def is_ours(self) -> bool:
        holder = _read(self._places.lock)
        return holder is not None and (holder.boot_id, holder.host, holder.pid, holder.started) == (
            self.holder.boot_id,
            self.holder.host,
            self.holder.pid,
            self.holder.started,
        )

    def check(self) -> None:
        """Raises Held when this process stood still for so long that another host took it for dead."""
        if self._taken_by is not None:
            raise self._taken_by

    def stop_requested(self) -> bool:
        """Only whoever may write our lock may stop us."""
        try:
            with parent_of(self._places.stop) as (directory, name):
                status = directory.status(name)
        except OSError:
            return False
        return status is not None and status.st_uid in (0, os.fstat(self._descriptor).st_uid)

    def release(self) -> None:
        self._released.set()
        if self._heart.is_alive():
            self._heart.join()
        if self._taken_by is None:
            for path in (self._places.lock, self._places.stop):
                with contextlib.suppress(OSError):
                    remove_file(path)
        os.close(self._descriptor)

    def _live(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            # A server that is away for a while takes the lease from nobody: the other hosts cannot see it either.
            with contextlib.suppress(OSError):
                if not self.is_ours():
                    self._taken_by = Held(_read(self._places.lock))
                    return
                self.beat()


class Held(Exception):
    """Somebody else works on it, alive."""

    def __init__(self, holder: Optional[Holder]) -> None:
        super().__init__(str(holder))
        self.holder = holder


def acquire(places: Places, *, shared: bool, sleep: Callable[[float], None] = time.sleep) -> Hold:
    """The lock; raises Held when a living process has it."""
    while True:
        try:
            with parent_of(places.lock) as (directory, name):
                descriptor = open_or_make_own(directory, name)
            # An older version made it readable: whoever can open it can hold it.
            os.fchmod(descriptor, 0o600)
        except OSError as error:
            raise write_problem(places.lock, error) from error
        try:
            hold = _lock(places, descriptor, shared, sleep)
        except OSError as error:
            os.close(descriptor)
            raise write_problem(places.lock, error) from error
        except BaseException:
            os.close(descriptor)
            raise
        if hold is not None:
            return hold
        os.close(descriptor)


def _lock(places: Places, descriptor: int, shared: bool, sleep: Callable[[float], None]) -> Optional[Hold]:
    """The lock on an open lock file; None when its holder took that file away in the meantime."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Held(_read(places.lock)) from None
    except OSError:
        # A file system without locks: the number in the file must do.
        shared = True
    if shared:
        alive = _alive_elsewhere(places.lock, sleep)
        if alive is not None:
            raise Held(alive)
    if not _is_at(places.lock, descriptor):
        return None
    hold = Hold(places, descriptor, this_process(), shared=shared)
    hold.begin()
    if shared:
        sleep(SETTLE_SECONDS)
        if not hold.is_ours():
            raise Held(_read(places.lock))
    hold.keep()
    return hold


def current_holder(places: Places, *, shared: bool, sleep: Callable[[float], None] = time.sleep) -> Optional[Holder]:
    """Who works on it now; None when nobody does. On a shared file system this takes a while to tell."""
    try:
        with parent_of(places.lock) as (directory, name):
            descriptor = open_own(directory, name)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(places.lock)
    except OSError:
        shared = True
    finally:
        os.close(descriptor)
    return _alive_elsewhere(places.lock, sleep) if shared else None


def _alive_elsewhere(path: str, sleep: Callable[[float], None]) -> Optional[Holder]:
    """The holder on another host, if its record moves; None when it stands still too long."""
    holder, here = _read(path), this_process()
    if holder is None:
        return None
    # Only the kernel's own boot id tells this host: names are given twice, and process ids mean nothing elsewhere.
    if (holder.boot_id, holder.host) == (here.boot_id, here.host) and not _lives(holder.pid):
        return None
    waited = 0.0
    while waited < LEASE_SECONDS:
        sleep(BEAT_SECONDS / 2)
        waited += BEAT_SECONDS / 2
        now = _read(path)
        if now is None or now != holder:
            return now
    return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(path: str) -> Optional[Holder]:
    try:
        content: Dict[str, Any] = json.loads(read_file(path, limit_bytes=4096))
        return Holder(
            str(content["host"]),
            str(content["boot_id"]),
            int(content["pid"]),
            float(content["started"]),
            int(content["beat"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, OSError):
        return None


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
