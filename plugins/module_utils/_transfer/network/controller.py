# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Files of the controller, which no host can reach: they come in pieces, by the connection that Ansible uses.

Beside the destination lies a directory that only root enters. For each range that the transfer wants, a file there
names it; the action of gguf_download, on the controller, looks for them and puts the bytes beside. So the transfer
proves, merges and resumes them as it does those of a hub, and a host holds a few pieces at most beyond its files.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Iterator, List, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.own import open_own
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_entry
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_in
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import SourceError, Transient
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.sources import Access, Session, Source
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import LockedFile

NAME = "the controller"
# The longest run of blocks that is asked for at once, and how many of them are on their way.
PIECE_AT_MOST_BYTES = 64 * 2**20
CONNECTIONS = 3
ROOM_BYTES = CONNECTIONS * PIECE_AT_MOST_BYTES
WANTED, SENT = ".want", ".data"
_SILENT_SECONDS = 60.0
_LOOK_SECONDS = 0.05
_WANT = re.compile(r"([0-9a-f]{8}-[0-9]{1,9})\.want ([0-9]{1,9}) ([0-9]{1,18}) ([0-9]{1,18})")


@dataclass(frozen=True)
class Want:
    """A range of one of the locked files, by its number, under the name by which the host asked for it."""

    name: str
    file: int
    start: int
    length_bytes: int


def wants_in(text: str, files: Sequence[LockedFile]) -> List[Want]:
    """What a host asks for. What is no range of the files, or is too much at once, is nothing that we would ask for."""
    found = []
    for line in text.split("\n"):
        told = _WANT.fullmatch(line.strip())
        if told is None:
            continue
        want = Want(told[1], int(told[2]), int(told[3]), int(told[4]))
        if want.file >= len(files) or not 0 < want.length_bytes <= PIECE_AT_MOST_BYTES:
            continue
        if want.start + want.length_bytes <= files[want.file].size_bytes:
            found.append(want)
    return found


class Spool:
    """The directory of the pieces; made, and emptied of what an earlier run left, when the first piece is wanted."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._opened: Optional[Directory] = None
        self._names = (f"{secrets.token_hex(4)}-{number}" for number in itertools.count())

    def directory(self) -> Directory:
        with self._lock:
            if self._opened is not None and not os.fstat(self._opened.fd).st_nlink:
                # Removed with what an earlier transfer left, after the headers had come.
                self._opened.close()
                self._opened = None
            if self._opened is None:
                opened = Directory.open(self.path, make=True, mode=0o700)
                if not opened.only_root_changes_it():
                    opened.close()
                    raise PathProblem(f"{self.path} can be changed by other users.", "Remove it, and run again.")
                for name in opened.names():
                    remove_entry(opened, name)
                self._opened = opened
            return self._opened

    def ask(self, file: int, start: int, length_bytes: int) -> str:
        """Its name."""
        directory = self.directory()
        with self._lock:
            name = next(self._names)
        write_in(directory, name + WANTED, f"{file} {start} {length_bytes}\n".encode(), mode=0o600, durable=False)
        return name

    def open(self, name: str, length_bytes: int) -> Optional[int]:
        """The descriptor of a piece that has come whole; None as long as it has not."""
        try:
            descriptor = open_own(self.directory(), name + SENT, os.O_RDONLY)
        except FileNotFoundError:
            return None
        if os.fstat(descriptor).st_size == length_bytes:
            return descriptor
        os.close(descriptor)
        raise Transient("A piece from the controller is not as long as it has to be.", reason="short-body")

    def drop(self, name: str) -> None:
        for ending in (WANTED, SENT):
            with contextlib.suppress(OSError):
                os.unlink(name + ending, dir_fd=self.directory().fd)

    def signs(self) -> Tuple[Tuple[str, int], ...]:
        """What changes as long as something comes."""
        directory = self.directory()
        return tuple(_sizes(directory))


def _sizes(directory: Directory) -> Iterator[Tuple[str, int]]:
    for name in directory.names():
        status = directory.status(name)
        if status is not None:
            yield name, status.st_size


class PieceStream:
    """A range of a file, as soon as it has come."""

    whole = False

    def __init__(self, spool: Spool, file: int, start: int, length_bytes: int, stopped: threading.Event) -> None:
        self._spool, self._length, self._stopped = spool, min(length_bytes, PIECE_AT_MOST_BYTES), stopped
        self.start = start
        self._at, self._descriptor = 0, -1
        try:
            self._name = spool.ask(file, start, self._length)
        except PathProblem as problem:
            raise SourceError(problem.problem, problem.remedy, reason="not-writable") from problem

    def readinto(self, view: memoryview) -> int:
        if self._descriptor < 0:
            self._descriptor = self._wait()
        count = os.preadv(self._descriptor, [view[: self._length - self._at]], self._at)
        self._at += count
        return count

    def _wait(self) -> int:
        signs, since = self._spool.signs(), time.monotonic()
        while not self._stopped.wait(_LOOK_SECONDS):
            descriptor = self._spool.open(self._name, self._length)
            if descriptor is not None:
                return descriptor
            now = self._spool.signs()
            if now != signs:
                signs, since = now, time.monotonic()
            if time.monotonic() - since > _SILENT_SECONDS:
                raise Transient(
                    "The controller sends nothing: the run there has ended, or the connection is lost.",
                    "Run again; it continues where it stopped.",
                    reason="stall",
                )
        raise Transient("The transfer ends.", reason="stall")

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._spool.drop(self._name)


class ControllerSession(Session):
    """One worker's pieces."""

    def __init__(self, spool: Spool) -> None:
        super().__init__(Access())
        self._spool = spool
        self._stopped = threading.Event()

    def open(self, url: str, start: int, length_bytes: int) -> PieceStream:
        return PieceStream(self._spool, int(url), start, length_bytes, self._stopped)

    def abort(self) -> None:
        self._stopped.set()


class ControllerSource(Source):
    """The files of a lock, from the controller."""

    def __init__(self, path: str, files: Sequence[LockedFile]) -> None:
        # Who serves them knows where they are; here they have numbers.
        super().__init__(NAME, [str(number) for number in range(len(files))], Access())
        self._files = tuple(files)
        self._spool = Spool(path)

    def session(self) -> ControllerSession:
        return ControllerSession(self._spool)

    def shown(self, index: int) -> str:
        return f"{self._files[index].path} of the controller"
