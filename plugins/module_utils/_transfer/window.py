# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The blocks that are in memory: between the network that brings them and the digests that still have to see them.

Every block is on the disk before it is shown here. So memory is only a short cut: when the digests fall behind, the
blocks that are farthest from them leave first and are read again when their turn comes.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Dict, Iterable, Iterator, List, Set

from ansible_collections.gguf.fleet.plugins.module_utils._files.memory import page_aligned
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.files import Storage
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import BLOCK_BYTES, Plan


class Window:
    def __init__(self, plan: Plan, storage: Storage, present: bytes, buffer_count: int) -> None:
        self._plan = plan
        self._storage = storage
        self._present = bytearray(1 if state else 0 for state in present)
        self._readers = bytearray(plan.block_count)
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self.arrived = threading.Condition(self._lock)
        self._unmade = buffer_count
        self._free: List[memoryview] = []
        self._held: Dict[int, memoryview] = {}
        self._pinned: Dict[int, int] = {}
        self._stale: Set[int] = set()

    def expect_reader(self, blocks: Iterable[int]) -> None:
        """A digest will want to see these blocks."""
        with self._lock:
            for block in blocks:
                self._readers[block] += 1

    def is_present(self, block: int) -> bool:
        return bool(self._present[block])

    def acquire(self) -> memoryview:
        """A buffer of one block to receive into."""
        with self._room:
            while True:
                if self._free:
                    return self._free.pop()
                if self._unmade:
                    self._unmade -= 1
                    return page_aligned(BLOCK_BYTES)
                farthest = max((block for block in self._held if block not in self._pinned), default=None)
                if farthest is not None:
                    return self._held.pop(farthest)
                self._room.wait()

    def release(self, buffer: memoryview) -> None:
        with self._room:
            self._free.append(buffer)
            self._room.notify()

    def deliver(self, block: int, buffer: memoryview) -> None:
        """The block is on the disk, and here are its bytes."""
        with self._lock:
            self._present[block] = 1
            self._keep(block, buffer)
            self.arrived.notify_all()

    def lose(self, blocks: Iterable[int]) -> None:
        """These blocks are wrong; the digests that saw them will see them again."""
        with self._room:
            for block in blocks:
                self._present[block] = 0
                if block in self._pinned:
                    self._stale.add(block)
                elif block in self._held:
                    self._free.append(self._held.pop(block))
                    self._room.notify()

    @contextlib.contextmanager
    def view(self, block: int) -> Iterator[memoryview]:
        """The bytes of a present block, from memory or else from the disk. One reader less afterwards."""
        _file, _offset, length = self._plan.locate(block)
        with self._lock:
            buffer = self._held.get(block)
            if buffer is not None:
                self._pinned[block] = self._pinned.get(block, 0) + 1
        if buffer is not None:
            try:
                yield buffer[:length]
            finally:
                with self._room:
                    self._unpin(block)
            return
        buffer = self.acquire()
        try:
            self._storage.read(_file, _offset, buffer[:length])
            yield buffer[:length]
        finally:
            with self._room:
                self._passed(block)
                self._keep(block, buffer)

    def _keep(self, block: int, buffer: memoryview) -> None:
        if self._readers[block] and self._present[block] and block not in self._held:
            self._held[block] = buffer
        else:
            self._free.append(buffer)
        self._room.notify()

    def _unpin(self, block: int) -> None:
        self._passed(block)
        self._pinned[block] -= 1
        if self._pinned[block]:
            return
        del self._pinned[block]
        stale = block in self._stale
        self._stale.discard(block)
        if stale or not self._readers[block]:
            self._free.append(self._held.pop(block))
        self._room.notify()

    def _passed(self, block: int) -> None:
        if self._readers[block]:
            self._readers[block] -= 1
