# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""How many connections to use: twice as many as long as that brings more, and back where it does not."""

from __future__ import annotations

from typing import Optional

FIRST_CONNECTIONS = 4
LOOK_EVERY_SECONDS = 0.5
_WORTH = 1.1
# A connection below this is held back by distance, loss or a limit of its own, and not by the line: more of them pay,
# which bursts at the start would hide from a comparison.
_HELD_BACK_BYTES_PER_SECOND = 32 << 20
# Rates change by themselves (a burst at the start, a slow minute), so one failed trial is not the last word.
_TRY_AGAIN_SECONDS = 1.0
_TRY_AGAIN_AT_MOST_SECONDS = 64.0


class Growth:
    """Compares the rate with more connections to the rate just before, never to an older one."""

    def __init__(self, at_most: int, total_bytes: int, now: float) -> None:
        self.connections = min(FIRST_CONNECTIONS, at_most)
        self._at_most = at_most
        self._looked_at = now
        self._total_bytes = total_bytes
        self._rate_before: Optional[float] = None
        self._settling = False
        self._patience = _TRY_AGAIN_SECONDS
        self._next_trial = now

    def look(self, total_bytes: int, now: float, *, welcome: bool = True) -> int:
        """The number of connections to use from now on; not ``welcome`` is a server that has enough of them."""
        elapsed = now - self._looked_at
        if elapsed < LOOK_EVERY_SECONDS:
            return self.connections
        rate = (total_bytes - self._total_bytes) / elapsed
        self._looked_at, self._total_bytes = now, total_bytes
        if self._settling:
            # The new connections began in the midst of this interval.
            self._settling = False
        elif self._rate_before is not None:
            self._judge(rate, now)
        if self._rate_before is None and rate and welcome and now >= self._next_trial:
            self._try_more(rate)
        return self.connections

    def _try_more(self, rate: float) -> None:
        if self.connections < self._at_most:
            judged = rate >= self.connections * _HELD_BACK_BYTES_PER_SECOND
            self._rate_before = rate if judged else None
            self._settling = judged
            self.connections = min(self._at_most, 2 * self.connections)

    def _judge(self, rate: float, now: float) -> None:
        worth = self._rate_before is not None and rate >= self._rate_before * _WORTH
        self._rate_before = None
        if worth:
            self._patience = _TRY_AGAIN_SECONDS
            return
        self.connections = max(FIRST_CONNECTIONS, self.connections // 2)
        self._next_trial = now + self._patience
        self._patience = min(_TRY_AGAIN_AT_MOST_SECONDS, 2 * self._patience)
