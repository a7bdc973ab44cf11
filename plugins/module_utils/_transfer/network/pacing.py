# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Not too fast and not at the wrong time: a limit for all connections together, and hours in which bytes may move."""

from __future__ import annotations

import datetime
import re
import threading
import time
from dataclasses import dataclass
from typing import Callable, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError

_UNITS = {
    "": 1,
    "k": 1000, "kb": 1000, "kib": 1 << 10,
    "m": 10**6, "mb": 10**6, "mib": 1 << 20,
    "g": 10**9, "gb": 10**9, "gib": 1 << 30,
    "b": 1,
}  # fmt: skip
_RATE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmg]?i?b?)\s*(?:/\s*s|ps)?\s*$", re.IGNORECASE)
_HOURS = re.compile(r"^\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*$")
# What may pass at once after a pause, in seconds of the limit.
_BURST_SECONDS = 0.1


def parse_rate(text: str) -> float:
    """Bytes a second out of '200MiB/s'."""
    match = _RATE.match(text)
    factor = _UNITS.get(match.group(2).lower()) if match else None
    if match is None or factor is None or float(match.group(1)) == 0:
        raise TransferError(
            f"rate_limit {text!r} is not a rate.", "Write it like 200MiB/s or 50MB/s.", reason="bad-option"
        )
    return float(match.group(1)) * factor


@dataclass(frozen=True)
class TimeWindow:
    """Hours of the day, in the host's local time; the end may lie on the next day."""

    begin: datetime.time
    end: datetime.time

    @classmethod
    def parse(cls, text: str) -> TimeWindow:
        match = _HOURS.match(text)
        try:
            hours = [int(number) for number in match.groups()] if match else []
            begin, end = datetime.time(hours[0], hours[1]), datetime.time(hours[2] % 24, hours[3])
        except (IndexError, ValueError):
            raise TransferError(
                f"time_window {text!r} is not a pair of times.", "Write it like 22:00-06:00.", reason="bad-option"
            ) from None
        return cls(begin, end)

    def is_open(self, now: datetime.time) -> bool:
        if self.begin <= self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M}"


class RateLimit:
    """A bucket that all connections draw from."""

    def __init__(self, bytes_per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = bytes_per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._stock = 0.0
        self._filled_at = clock()

    def take(self, wanted: int) -> Tuple[int, float]:
        """How many of the wanted bytes may be received now, and otherwise how long to wait before asking again."""
        with self._lock:
            now = self._clock()
            burst = max(self._rate * _BURST_SECONDS, 1.0)
            self._stock = min(burst, self._stock + (now - self._filled_at) * self._rate)
            self._filled_at = now
            granted = min(wanted, int(self._stock))
            if granted < 1:
                return 0, max((1 - self._stock) / self._rate, _BURST_SECONDS / 4)
            self._stock -= granted
            return granted, 0.0

    def give_back(self, count: int) -> None:
        """Bytes that were granted and did not come."""
        with self._lock:
            self._stock += count


@dataclass
class Pace:
    """Both limits together."""

    limit: Optional[RateLimit] = None
    window: Optional[TimeWindow] = None
    clock: Callable[[], datetime.datetime] = datetime.datetime.now

    def pauses(self) -> bool:
        """Whether this is an hour in which nothing may move."""
        return self.window is not None and not self.window.is_open(self.clock().time())
