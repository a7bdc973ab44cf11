# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the machine is quiet enough for a verdict, and what it can do: told beside every measurement."""

from __future__ import annotations

import hashlib
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

# Above this load of a core, from others than the bench, a ratio says more about them than about the contenders.
LOAD_A_CORE = 0.5
_PROBE_BYTES = 256 << 20


class Quiet:
    """The machine as it was found, and the verdicts that it allows."""

    def __init__(self) -> None:
        self._load = os.getloadavg()[0] / (os.cpu_count() or 1)
        self._sha256 = [_sha256_rate()]
        self._began, self._others = time.monotonic(), _others_seconds()
        self._contenders: Callable[[], float] = lambda: 0.0

    def leave_out(self, seconds: Callable[[], float]) -> None:
        """Processor time since the bench began of contenders that are no children of it, such as containers."""
        self._contenders = seconds

    @property
    def is_quiet(self) -> bool:
        return max(self._load, self._load_meanwhile()) <= LOAD_A_CORE

    def compare(self, name: str, value: float, limit: float, *, at_most: bool = True) -> None:
        """A line with a value and its bar, and whether it holds, where the machine allows to say so."""
        missed = value > limit if at_most else value < limit
        verdict = "?" if not self.is_quiet else "MISSED" if missed else "ok"
        print(f"  {verdict:6} {name}: {value:.2f} (bar {limit:g})")

    def describe(self) -> None:
        """How busy the machine was with other things, and how fast and steady it hashes."""
        self._sha256.append(_sha256_rate())
        rates = ", ".join(f"{rate / 1e6:,.0f}" for rate in self._sha256)
        print(f"\nload of others, a core: {self._load:.2f} before, {self._load_meanwhile():.2f} meanwhile")
        print(f"SHA-256 on one core, before and after: {rates} MB/s")
        if not self.is_quiet:
            print(f"No verdicts: the load was above {LOAD_A_CORE} a core. Run it again on a quiet machine.")

    def _load_meanwhile(self) -> float:
        seconds = time.monotonic() - self._began
        return max(0.0, _others_seconds() - self._others - self._contenders()) / seconds / (os.cpu_count() or 1)


def spread(values: Sequence[float]) -> float:
    """How far the values lie apart, as a part of their median."""
    return (max(values) - min(values)) / statistics.median(values)


def _others_seconds() -> float:
    """Processor time since boot that neither this process nor an ended child of it had, nor the kernel.

    The kernel's own work is left out, since most of it is the contenders' writing.
    """
    ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split()[1:9]]
    user, nice, _system, _idle, _iowait, _irq, _softirq, steal = ticks
    own = os.times()
    return (user + nice + steal) / os.sysconf("SC_CLK_TCK") - own.user - own.children_user


def _sha256_rate() -> float:
    """Bytes a second."""
    block = bytes(1 << 20)
    digest = hashlib.sha256()
    started = time.perf_counter()
    for _again in range(_PROBE_BYTES // len(block)):
        digest.update(block)
    return _PROBE_BYTES / (time.perf_counter() - started)
