# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Checksums on threads of their own, which are given bytes in memory: they wait for no disk and read nothing twice."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from typing import Any, Callable, Dict, Optional, Sequence, Tuple, Union

from ansible_collections.gguf.fleet.plugins.module_utils._files.memory import page_aligned

Data = Union[bytes, memoryview]
# Small enough that the bytes are still in the processor's cache when they are hashed or written.
BLOCK_BYTES = 1 << 20
# So that a disk that stops for a moment does not stop the hash, and a merge stays below 64 MiB in all.
BLOCKS = 16


def cores(at_most: int) -> int:
    """The processor cores that this process may use."""
    return min(at_most, len(os.sched_getaffinity(0)))


def _nobody() -> None:
    """For bytes that stay as they are."""


class HashThread:
    """A sha256 that is computed on a thread of its own, in the order in which the bytes are given.

    start, hasher: the offset to begin at, and the state of the bytes before it. mark_bytes: a checksum is kept at every
    multiple of it, for digest_at.
    """

    def __init__(self, *, start: int = 0, hasher: Any = None, mark_bytes: int = 0) -> None:
        self.position = start  # behind the last byte that was given
        self._hasher = hasher if hasher is not None else hashlib.sha256()
        self._hashed = start
        self._mark_bytes = mark_bytes
        self._marks: Dict[int, str] = {}
        self._closed = False
        self._error: Optional[BaseException] = None
        self._marked = threading.Condition()
        self._given: queue.SimpleQueue[Optional[Tuple[Data, Callable[[], object]]]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)
        self._thread.start()

    def give(self, data: Data, seen: Callable[[], object] = _nobody) -> None:
        """Hash these bytes next. They must stay as they are until seen is called, on the hash's thread."""
        self.position += len(data)
        self._given.put((data, seen))

    def digest(self) -> str:
        """The checksum of all bytes that were given, once they are hashed."""
        done = threading.Event()
        self.give(b"", done.set)
        done.wait()
        if self._error is not None:
            raise self._error
        return str(self._hasher.hexdigest())

    def digest_at(self, offset: int) -> str:
        """The checksum of the bytes up to offset, a multiple of mark_bytes that was or will be given.

        Marks are asked for in ascending order, by another thread than the one that gives. Raises RuntimeError when the
        hash is closed before it gets there.
        """
        with self._marked:
            self._marked.wait_for(lambda: self._closed or self._error or offset in self._marks)
            if self._error is not None:
                raise self._error
            if offset not in self._marks:
                raise RuntimeError("the hash was closed before it was complete")
            found = self._marks[offset]
            self._marks = {mark: digest for mark, digest in self._marks.items() if mark > offset}
            return found

    def close(self) -> None:
        """End the thread, after what was given."""
        self._given.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            given = self._given.get()
            if given is None:
                break
            data, seen = given
            try:
                self._update(data)
            except BaseException as error:  # handed to who asks for a digest, while who gives goes on
                with self._marked:
                    self._error = error
                    self._marked.notify_all()
            seen()
        with self._marked:
            self._closed = True
            self._marked.notify_all()

    def _update(self, data: Data) -> None:
        view = memoryview(data)
        while self._mark_bytes:
            left = self._mark_bytes - self._hashed % self._mark_bytes
            if len(view) < left:
                break
            self._hasher.update(view[:left])
            view = view[left:]
            self._hashed += left
            with self._marked:
                self._marks[self._hashed] = self._hasher.hexdigest()
                self._marked.notify_all()
        self._hasher.update(view)
        self._hashed += len(view)


class Blocks:
    """Memory for bytes that are read once and seen by several hashes; a block is used again when all have seen it."""

    def __init__(self, count: int = BLOCKS, block_bytes: int = BLOCK_BYTES) -> None:
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        for _number in range(count):
            self._free.put(page_aligned(block_bytes))

    def take(self) -> memoryview:
        """A block that no hash needs any more; waits for one."""
        return self._free.get()

    def give(self, block: memoryview, length_bytes: int, hashes: Sequence[HashThread]) -> None:
        """Hand the first bytes of a block to the hashes. Whoever took it may read it until he takes the next one."""
        left = [len(hashes)]
        lock = threading.Lock()

        def seen() -> None:
            with lock:
                left[0] -= 1
                last = not left[0]
            if last:
                self._free.put(block)

        for one in hashes:
            one.give(block[:length_bytes], seen)
