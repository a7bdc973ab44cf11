# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the machine is quiet enough for a verdict, and what it can do: told beside every measurement."""

from __future__ import annotations

import hashlib
import os
import statistics
import time
from collections.abc import Sequence

# Above this load of a core, from others than the bench, a ratio says more about them than about the contenders.
LOAD_A_CORE = 0.5
_PROBE_BYTES = 256 << 20


class Quiet:
    """The machine as it was found, and the verdicts that it allows."""

    def __init__(self) -> None:
        self._load = os.getloadavg()[0] / (os.cpu_count() or 1)
        self._sha256 = [_sha256_rate()]

    @property
    def is_quiet(self) -> bool:
        return self._load <= LOAD_A_CORE

    def compare(self, name: str, value: float, most: float) -> None:
        """A line with a value and its bar, and whether it holds, where the machine allows to say so."""
        verdict = ("ok  " if value <= most else "OVER") if self.is_quiet else "?   "
        print(f"  {verdict} {name}: {value:.2f} (bar {most:g})")

    def describe(self) -> None:
        """How busy the machine was before the bench began, and how fast and steady it hashes."""
        self._sha256.append(_sha256_rate())
        rates = ", ".join(f"{rate / 1e6:,.0f}" for rate in self._sha256)
        print(f"\nload before: {self._load:.2f} a core; SHA-256 on one core, before and after: {rates} MB/s")
        if not self.is_quiet:
            print(f"No verdicts: the load was above {LOAD_A_CORE} a core. Run it again on a quiet machine.")


def spread(values: Sequence[float]) -> float:
    """How far the values lie apart, as a part of their median."""
    return (max(values) - min(values)) / statistics.median(values)


def _sha256_rate() -> float:
    """Bytes a second."""
    block = bytes(1 << 20)
    digest = hashlib.sha256()
    started = time.perf_counter()
    for _again in range(_PROBE_BYTES // len(block)):
        digest.update(block)
    return _PROBE_BYTES / (time.perf_counter() - started)
