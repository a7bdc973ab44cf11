# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which blocks are fetched next, and by whom."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Iterable, List, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.journal import MISSING
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import Plan

IN_FLIGHT = 3
DONE = 1
_SHORTEST_SPAN_BLOCKS = 2
_HELP_WORTH_SECONDS = 2.0


@dataclass(eq=False)
class Span:
    """A run of blocks of one file that one connection fetches; the end can come nearer when another one helps."""

    file: int
    next: int
    end: int
    seconds_per_block: float = 0.0

    @property
    def left(self) -> int:
        return self.end - self.next


class Scheduler:
    """Hands out the missing blocks in merged order."""

    def __init__(self, plan: Plan, states: bytes) -> None:
        self._plan = plan
        self._states = bytearray(MISSING if state == MISSING else DONE for state in states)
        self._cursor = 0
        self._spans: List[Span] = []
        self._left = self._states.count(MISSING)
        self.changed = threading.Condition()
        self._closed = False

    @property
    def finished(self) -> bool:
        return self._left == 0

    def close(self) -> None:
        """Nobody gets anything any more."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed

    def take(self, blocks_at_most: int, connections: int = 1) -> Optional[Span]:
        """The next run of missing blocks; when all are under way, half of a slow run. None when there is none.

        Towards the end the runs get shorter, so that all connections end together.
        """
        with self.changed:
            if self._closed:
                return None
            first = self._states.find(MISSING, self._cursor)
            if first < 0:
                self._cursor = len(self._states)
                return self._steal()
            self._cursor = first
            file = self._plan.file_of(first)
            fair = max(_SHORTEST_SPAN_BLOCKS, self._left // (2 * connections))
            end = min(first + min(blocks_at_most, fair), self._plan.blocks_of(file).stop)
            taken = self._states.find(DONE, first, end)
            flying = self._states.find(IN_FLIGHT, first, end)
            end = min([end] + [stop for stop in (taken, flying) if stop >= 0])
            self._states[first:end] = bytes([IN_FLIGHT]) * (end - first)
            span = Span(file, first, end)
            self._spans.append(span)
            return span

    def _steal(self) -> Optional[Span]:
        victim = max(self._spans, key=lambda span: span.left * span.seconds_per_block, default=None)
        # The block that is being received stays where it is. What the victim's server sent beyond the new end is lost,
        # so it takes a connection that is really slow.
        if victim is None or victim.left < 3 or victim.left * victim.seconds_per_block < _HELP_WORTH_SECONDS:
            return None
        middle = victim.next + 1 + victim.left // 2
        span = Span(victim.file, middle, victim.end, victim.seconds_per_block)
        victim.end = middle
        self._spans.append(span)
        return span

    def take_back(self, span: Span) -> None:
        """What is left of a span goes to whoever asks next."""
        with self.changed:
            if span in self._spans:
                self._spans.remove(span)
            self._states[span.next : span.end] = bytes([MISSING]) * (span.end - span.next)
            self._cursor = min(self._cursor, span.next)
            span.end = span.next
            self.changed.notify_all()

    def advance(self, span: Span) -> bool:
        """The span's next block is on the disk; tells whether the span has more."""
        with self.changed:
            self._states[span.next] = DONE
            self._left -= 1
            span.next += 1
            more = span.next < span.end
            if not more:
                self._spans.remove(span)
            if self._left == 0:
                self.changed.notify_all()
            return more

    def claim(self, block: int) -> Optional[Span]:
        """One block for a source that sends whole files; None when it is there or another source brings it."""
        with self.changed:
            if self._states[block] != MISSING:
                return None
            self._states[block] = IN_FLIGHT
            span = Span(self._plan.file_of(block), block, block + 1)
            self._spans.append(span)
            return span

    def file_is_missing_any(self, file: int) -> bool:
        blocks = self._plan.blocks_of(file)
        with self.changed:
            return self._states.find(MISSING, blocks.start, blocks.stop) >= 0

    def lose(self, blocks: Iterable[int]) -> None:
        """Blocks that turned out wrong are missing again."""
        with self.changed:
            for block in blocks:
                if self._states[block] == DONE:
                    self._states[block] = MISSING
                    self._left += 1
                    self._cursor = min(self._cursor, block)
            self.changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Until something is given back, lost or finished, at most so long."""
        with self.changed:
            if not self._closed:
                self.changed.wait(seconds)
