# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The checksums of the files and of the merged file, computed while the bytes pass, each by one thread at a time."""

from __future__ import annotations

import hashlib
import threading
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple, Union

from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import (
    BLOCK_BYTES,
    HEADER,
    ZEROS,
    DigestPlan,
    Part,
    Plan,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.window import Window

# A thread stays with a digest for this many blocks, then looks what else there is.
_BLOCKS_AT_ONCE = 8
# Only the first unfinished digests are looked at; the blocks come in their order anyway.
_LOOK_AHEAD = 64

# What one block adds to a digest: slices of the block, and bytes that come from no file.
Addition = Union[Tuple[int, int], bytes]
Step = Tuple[int, List[Addition]]


def steps(plan: Plan, parts: Tuple[Part, ...]) -> Iterator[Step]:
    """A digest as blocks to wait for, in order, and what each of them adds."""
    block, additions = -1, []  # type: int, List[Addition]
    for part in parts:
        if part.file == HEADER:
            additions.append(plan.merged_header)
            continue
        if part.file == ZEROS:
            additions.append(bytes(part.length_bytes))
            continue
        first = plan.first_blocks[part.file]
        for number in plan.overlapped(part):
            if number != block:
                if block >= 0:
                    yield block, additions
                    additions = []
                block = number
            begin = (number - first) * BLOCK_BYTES
            low = max(part.offset, begin) - begin
            high = min(part.offset + part.length_bytes, begin + BLOCK_BYTES) - begin
            additions.append((low, high))
    yield block, additions


class Digest:
    """One checksum on its way."""

    def __init__(self, plan: Plan, wanted: DigestPlan) -> None:
        self.wanted = wanted
        self._plan = plan
        self._hasher: Any = hashlib.sha256()
        self._steps = steps(plan, wanted.parts)
        self.next: Optional[Step] = next(self._steps)
        self.busy = False
        self.seen_bytes = 0
        self.restart_from: Optional[int] = None
        # The state at the first block of each file, so that one wrong file does not cost the digest of those before it.
        self._checkpoints: Dict[int, Tuple[Any, int]] = {}

    def blocks(self) -> List[int]:
        return sorted({block for part in self.wanted.parts if part.file >= 0 for block in self._plan.overlapped(part)})

    def feed(self, view: memoryview) -> None:
        if self.next is None:
            raise AssertionError("fed beyond the digest's end")
        block, additions = self.next
        file = self._plan.file_of(block)
        if file not in self._checkpoints and len(self.wanted.parts) > 1:
            self._checkpoints[file] = (self._hasher.copy(), self.seen_bytes)
        for addition in additions:
            if isinstance(addition, bytes):
                self._hasher.update(addition)
            else:
                self._hasher.update(view[addition[0] : addition[1]])
                self.seen_bytes += addition[1] - addition[0]
        self.next = next(self._steps, None)

    def finish_without_blocks(self) -> None:
        """The end of a digest in which no file's byte takes part."""
        if self.next is None:
            raise AssertionError("fed beyond the digest's end")
        for addition in self.next[1]:
            self._hasher.update(bytes(addition) if isinstance(addition, bytes) else b"")
        self.next = None

    def restart(self, block: int) -> None:
        """Begin again at this block's file (or from the start), because its bytes were wrong."""
        file = self._plan.file_of(block)
        first_block = self._plan.first_blocks[file]
        hasher, seen = self._checkpoints.get(file, (None, 0))
        if hasher is None:
            if self.next is not None and self.next[0] <= first_block and len(self.wanted.parts) > 1:
                return
            hasher, first_block = hashlib.sha256(), -1
        self._hasher, self.seen_bytes = hasher.copy(), seen
        self._checkpoints = {known: state for known, state in self._checkpoints.items() if known < file}
        self._steps = steps(self._plan, self.wanted.parts)
        self.next = next((step for step in self._steps if step[0] >= first_block), None)

    @property
    def value(self) -> str:
        return str(self._hasher.hexdigest())

    @property
    def is_right(self) -> bool:
        """Whether it is what the lock says; what the lock does not know cannot be wrong."""
        return self.wanted.expected is None or self.value == self.wanted.expected

    @property
    def total_bytes(self) -> int:
        return sum(part.length_bytes for part in self.wanted.parts if part.file >= 0)


class Digests:
    """The threads that feed all digests from the window."""

    def __init__(
        self,
        plan: Plan,
        window: Window,
        *,
        threads: int,
        on_wrong: Callable[[Digest], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._window = window
        self._on_wrong = on_wrong
        self._on_error = on_error
        self.all = [Digest(plan, wanted) for wanted in plan.digests]
        self._open: List[Digest] = list(self.all)
        self._stopping = False
        self._done: Set[int] = set()
        for digest in self.all:
            window.expect_reader(digest.blocks())
        self._threads = [
            threading.Thread(target=self._work, name=f"digest-{number}", daemon=True) for number in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        with self._window.arrived:
            self._stopping = True
            self._window.arrived.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def finished(self) -> bool:
        with self._window.arrived:
            return not self._open

    def wait(self, seconds: float) -> None:
        with self._window.arrived:
            if self._open and not self._stopping:
                self._window.arrived.wait(seconds)

    def progress(self) -> Tuple[int, int]:
        """Bytes that were hashed, of those that have to be."""
        return sum(digest.seen_bytes for digest in self.all), sum(digest.total_bytes for digest in self.all)

    def values(self) -> Dict[str, str]:
        return {digest.wanted.name: digest.value for digest in self.all}

    def repeat(self, blocks: range) -> None:
        """These blocks will come again: let every digest that saw one of them begin before it."""
        with self._window.arrived:
            for digest in self.all:
                covers = any(
                    part.file >= 0 and _overlap(digest._plan.overlapped(part), blocks) for part in digest.wanted.parts
                )
                if not covers:
                    continue
                pending = blocks.start if digest.restart_from is None else digest.restart_from
                digest.restart_from = min(blocks.start, pending)
                if not digest.busy:
                    digest.restart(digest.restart_from)
                    digest.restart_from = None
                if digest not in self._open:
                    self._open.append(digest)
            self._window.arrived.notify_all()

    def _work(self) -> None:
        try:
            while True:
                digest = self._pick()
                if digest is None:
                    return
                self._feed(digest)
                self._put_back(digest)
        except BaseException as error:  # pylint: disable=broad-except
            self._on_error(error)

    def _pick(self) -> Optional[Digest]:
        with self._window.arrived:
            while not self._stopping:
                for digest in self._open[:_LOOK_AHEAD]:
                    if not digest.busy and self._is_ready(digest):
                        digest.busy = True
                        return digest
                self._window.arrived.wait()
            return None

    def _is_ready(self, digest: Digest) -> bool:
        return digest.next is not None and (digest.next[0] < 0 or self._window.is_present(digest.next[0]))

    def _feed(self, digest: Digest) -> None:
        for _count in range(_BLOCKS_AT_ONCE):
            if digest.next is None or not self._is_ready(digest) or digest.restart_from is not None:
                return
            if digest.next[0] < 0:
                digest.finish_without_blocks()
                return
            with self._window.view(digest.next[0]) as view:
                digest.feed(view)

    def _put_back(self, digest: Digest) -> None:
        with self._window.arrived:
            if digest.restart_from is not None:
                digest.restart(digest.restart_from)
                digest.restart_from = None
            # A whole that has no bytes of its own to fetch again is judged when its parts are right.
            wrong = digest.next is None and digest.wanted.repair is not None and not digest.is_right
            if not wrong:
                digest.busy = False
                if digest.next is None:
                    self._open.remove(digest)
                self._window.arrived.notify_all()
        if wrong:
            # It stays open meanwhile, so that nobody takes the transfer for finished.
            self._on_wrong(digest)
            with self._window.arrived:
                digest.busy = False
                if digest.restart_from is not None:
                    digest.restart(digest.restart_from)
                    digest.restart_from = None
                self._window.arrived.notify_all()


def _overlap(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop
