# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""How many connections to use: twice as many at the start and wherever each is slow; then what trials tell."""

from __future__ import annotations

from typing import Optional

FIRST_CONNECTIONS = 4
LOOK_EVERY_SECONDS = 0.5
# A difference that is more than chance.
_WORTH = 1.1
# A connection below this is held back by distance, loss or a limit of its own, and not by the line: more of them pay.
_HELD_BACK_BYTES_PER_SECOND = 32 << 20
# Many servers begin with a burst, so rates are compared after it only.
_START_SECONDS = 2.0
# Rates change by themselves, so no trial is the last word.
_TRY_AGAIN_SECONDS = 1.0
_TRY_AGAIN_AT_MOST_SECONDS = 64.0


class Growth:
    """Compares the rate in a trial to the rate just before, never to an older one."""

    def __init__(self, at_most: int, total_bytes: int, now: float) -> None:
        self.connections = min(FIRST_CONNECTIONS, at_most)
        self._at_most = at_most
        self._looked_at = now
        self._total_bytes = total_bytes
        self._rate_before: Optional[float] = None
        self._settling = False
        self._patience = _TRY_AGAIN_SECONDS
        self._compares_from = now + _START_SECONDS
        self._next_trial = now

    def look(self, total_bytes: int, now: float, *, welcome: bool = True) -> int:
        """The number of connections to use from now on; not ``welcome`` is a server that has enough of them."""
        elapsed = now - self._looked_at
        if elapsed < LOOK_EVERY_SECONDS:
            return self.connections
        rate = (total_bytes - self._total_bytes) / elapsed
        self._looked_at, self._total_bytes = now, total_bytes
        if self._settling:
            # The change came in the midst of this interval.
            self._settling = False
        elif self._rate_before is not None:
            self._judge(rate, self._rate_before, now)
        if self._rate_before is None and rate and welcome and now >= self._next_trial:
            self._change(rate, now)
        return self.connections

    def _change(self, rate: float, now: float) -> None:
        """More at once where they are sure to pay; otherwise a trial with twice as many, or with half of the most."""
        held_back = rate < self.connections * _HELD_BACK_BYTES_PER_SECOND
        if self.connections < self._at_most:
            if not held_back and now >= self._compares_from:
                self._rate_before, self._settling = rate, True
            self.connections = min(self._at_most, 2 * self.connections)
        elif not held_back and now >= self._compares_from:
            self._rate_before, self._settling = rate, True
            self.connections //= 2

    def _judge(self, rate: float, before: float, now: float) -> None:
        more = self.connections == self._at_most
        right = rate >= _WORTH * before if more else _WORTH * rate >= before
        self._rate_before = None
        if right:
            self._patience = _TRY_AGAIN_SECONDS
        else:
            self.connections = self.connections // 2 if more else 2 * self.connections
            self._patience = min(_TRY_AGAIN_AT_MOST_SECONDS, 2 * self._patience)
        self._next_trial = now + self._patience
