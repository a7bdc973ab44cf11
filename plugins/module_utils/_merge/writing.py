# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Write a merged file front to back, and make what is written last at checkpoints."""

from __future__ import annotations

import fcntl
import os
import queue
import threading
from contextlib import contextmanager
from typing import Callable, Iterator, NamedTuple, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem, parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.hashing import HashThread
from ansible_collections.gguf.fleet.plugins.module_utils._files.own import open_or_make_own, open_own, take_name
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import Segment
from ansible_collections.gguf.fleet.plugins.module_utils._merge.journal import Journal
from ansible_collections.gguf.fleet.plugins.module_utils._merge.moving import (
    WINDOW_BYTES,
    Copier,
    write_all,
)
from ansible_collections.gguf.fleet.plugins.module_utils._reserve import reserve_disk


class Checkpoints:
    """Syncs the file on a thread of its own when another interval is written, and notes the digest in the journal."""

    def __init__(self, file: int, whole: Optional[HashThread], journal: Journal, every: int, start: int) -> None:
        self._file = file
        self._whole = whole
        self._journal = journal
        self._every = every
        self._done = start // every * every
        self._due: queue.SimpleQueue[Optional[int]] = queue.SimpleQueue()
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def reached(self, position: int) -> None:
        """All bytes up to position are written."""
        due = position // self._every * self._every
        if due > self._done:
            self._due.put(due)
            self._done = due

    def finish(self) -> None:
        """Wait until all that is due is on disk."""
        self.close()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self._due.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while True:
                offset = self._newest_due()
                if offset is None:
                    return
                os.fdatasync(self._file)
                if self._whole is not None:
                    self._journal.checkpoint(offset, self._whole.digest_at(offset))
        except BaseException as error:  # handed to the thread that finishes
            self._error = error

    def _newest_due(self) -> Optional[int]:
        """Where the disk is slower than the copy, one sync does for all that is due by now; None when it is over."""
        offset = self._due.get()
        while offset is not None and not self._due.empty():
            newer = self._due.get()
            if newer is None:
                self._due.put(None)
                break
            offset = newer
        return offset


class Writer:
    """The merged file, from the position where it goes on to its end."""

    def __init__(
        self,
        file: int,
        start: int,
        whole: Optional[HashThread],
        checkpoints: Checkpoints,
        told: Callable[[int], None],
    ) -> None:
        self.file = file
        self.position = start
        self.whole = whole
        self._checkpoints = checkpoints
        self._told = told
        self._copier = Copier()

    def reserve(self, offset: int) -> None:
        """Disk for all bytes up to offset."""
        reserve_disk(self.file, self.position, offset - self.position)

    def put(self, data: bytes) -> None:
        if self.whole is not None:
            self.whole.give(data)
        write_all(self.file, data, self.position)
        self._moved(self.position + len(data))

    def fill(self, offset: int) -> None:
        """Zeros up to offset."""
        if offset > self.position:
            self.put(bytes(offset - self.position))

    def copy(self, part: Segment, source: int, shard: Optional[HashThread]) -> None:
        """The rest of a segment that is not written yet; shard is the hash of the source, which is given it, too."""
        done = max(0, self.position - part.dest_offset)
        if done < part.length_bytes:
            self.fill(part.dest_offset)
        while done < part.length_bytes:
            length = min(WINDOW_BYTES, part.length_bytes - done)
            start = part.source_offset + done
            hashes = [self.whole] if self.whole is not None else []
            if shard is not None and shard.position == start:
                hashes.append(shard)
            self._copier.copy(source, self.file, start, part.dest_offset + done, length, hashes=hashes)
            done += length
            self._moved(part.dest_offset + done)

    def hash_only(self, source: int, end: int, shard: HashThread) -> None:
        """Give the hash of a shard what it lacks up to there, which is not written (again)."""
        self._copier.hash_range(source, shard.position, end, [shard])

    def _moved(self, position: int) -> None:
        self.position = position
        self._checkpoints.reached(position)
        self._told(position)


class Temporary(NamedTuple):
    """The temporary file of a merge, open for this run alone."""

    file: int
    directory: Directory
    name: str

    def take_name(self, name: str) -> None:
        """Give the file its name, in the same directory."""
        take_name(self.directory, self.name, name, os.fstat(self.file))


@contextmanager
def exclusive(path: str) -> Iterator[Temporary]:
    """The temporary file at path; a missing one is made."""
    with parent_of(path) as (directory, name):
        file = open_or_make_own(directory, name)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise GgufError(f"another merge is writing {path}.", "Wait for it to end, then run again.") from None
            yield Temporary(file, directory, name)
        finally:
            os.close(file)


def wait_for_other_run(path: str) -> bool:
    """Return once no other run is writing the temporary file at path, and whether there was one."""
    try:
        with parent_of(path) as (directory, name):
            # What is not ours is no run's: the merge will refuse it.
            file = open_own(directory, name)
    except (FileNotFoundError, PathProblem):
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(file, fcntl.LOCK_SH)
        return True
    else:
        return False
    finally:
        os.close(file)
