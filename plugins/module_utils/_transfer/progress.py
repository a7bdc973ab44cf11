# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""How far a transfer is, for people and for programs."""

from __future__ import annotations

import collections
import contextlib
import json
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Deque, Dict, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_in
from ansible_collections.gguf.fleet.plugins.module_utils._host.sizes import shown_bytes

RATE_WINDOW_SECONDS = 8.0
STATUS_AT_MOST_BYTES = 1 << 20
# What a field of a status can be at the most; NaN and infinity are not.
_MOST = 1e18
_COUNTS = ("bytes_done", "bytes_total", "bytes_moved", "bytes_verified", "bytes_to_verify", "connections")
_NUMBERS = ("rate_bytes_per_second", "seconds")
_WRITE_EVERY_SECONDS = 0.5


def shown_seconds(seconds: float) -> str:
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@dataclass
class Status:
    """One look at a transfer; this is what the status file holds."""

    phase: str
    bytes_done: int
    bytes_total: int
    bytes_moved: int = 0
    bytes_verified: int = 0
    bytes_to_verify: int = 0
    rate_bytes_per_second: float = 0.0
    eta_seconds: Optional[float] = None
    connections: int = 0
    seconds: float = 0.0
    message: str = ""
    sources: Dict[str, int] = field(default_factory=dict)

    @property
    def counted(self) -> Tuple[int, int]:
        """The bytes that this phase has done, and all that it has to do."""
        if self.phase == "verify":
            return self.bytes_verified, self.bytes_to_verify
        return self.bytes_done, self.bytes_total

    def line(self) -> str:
        """What a person wants to know, in one line."""
        done, total = self.counted
        percent = 100 * done / total if total else 100.0
        parts = [f"{self.phase} {percent:.0f} %", f"{shown_bytes(done)} of {shown_bytes(total)}"]
        if self.rate_bytes_per_second:
            parts.append(f"{shown_bytes(self.rate_bytes_per_second)}/s")
        if self.eta_seconds is not None:
            parts.append(f"{shown_seconds(self.eta_seconds)} left")
        if self.message:
            parts.append(self.message)
        return ", ".join(parts)


class Meter:
    """Counts bytes as they pass, from any thread, and tells the rate over the last seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._samples: Deque[Tuple[float, int]] = collections.deque()
        self.total = 0
        self.by_source: Dict[str, int] = {}
        self.last_progress = clock()

    def add(self, count: int, source: str) -> None:
        now = self._clock()
        with self._lock:
            self.total += count
            self.by_source[source] = self.by_source.get(source, 0) + count
            self.last_progress = now
            if not self._samples or now - self._samples[-1][0] >= 0.1:
                self._samples.append((now, self.total))
            while len(self._samples) > 2 and now - self._samples[0][0] > RATE_WINDOW_SECONDS:
                self._samples.popleft()

    def rate(self) -> float:
        """Bytes a second over the last seconds; falls to nothing while nothing comes."""
        now = self._clock()
        with self._lock:
            if not self._samples:
                return 0.0
            began, base = self._samples[0]
            elapsed = now - began
            if now - self.last_progress > RATE_WINDOW_SECONDS or elapsed <= 0:
                return 0.0
            return (self.total - base) / elapsed


class Gauge:
    """The status of work that counts its bytes by itself, one phase after the other."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._phase = ""
        self._meter = Meter(clock)

    def status(self, phase: str, done: int, total: int) -> Status:
        if phase != self._phase:
            self._phase, self._meter = phase, Meter(self._clock)
        self._meter.add(done - self._meter.total, phase)
        rate = self._meter.rate()
        status = Status(
            phase,
            done,
            total,
            rate_bytes_per_second=rate,
            eta_seconds=(total - done) / rate if rate else None,
            seconds=self._clock() - self._began,
        )
        if phase == "verify":
            # The bytes are there, and are read.
            status.bytes_done, status.bytes_verified, status.bytes_to_verify = total, done, total
        return status


class StatusFile:
    """The latest status as JSON, replaced in one step so that a reader never sees half of it."""

    def __init__(self, path: str, holder: Dict[str, Any]) -> None:
        self.path = path
        self._holder = holder

    def write(self, status: Status) -> None:
        content = {"status_version": 1, **asdict(status), "holder": self._holder, "written": time.time()}
        with parent_of(self.path) as (directory, name):
            write_in(directory, name, json.dumps(content).encode(), mode=0o644, durable=False)


class Reporter:
    """Keeps the status file of such work while it runs; called for every step, it writes now and then."""

    def __init__(self, file: StatusFile, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._gauge = Gauge(clock)
        self._phase = ""
        self._due = 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        now = self._clock()
        if now < self._due and phase == self._phase:
            return
        self._phase, self._due = phase, now + _WRITE_EVERY_SECONDS
        # Work does not fail because it cannot be watched.
        with contextlib.suppress(OSError):
            self._file.write(self._gauge.status(phase, done, total))

    def close(self) -> None:
        """Remove the status file, if this work wrote it."""
        if self._phase:
            with contextlib.suppress(OSError):
                remove_file(self._file.path)


def read_status(path: str) -> Optional[Dict[str, Any]]:
    try:
        return parse_status(read_file(path, limit_bytes=STATUS_AT_MOST_BYTES).decode("utf-8"))
    except (OSError, ValueError):
        return None


def parse_status(text: str) -> Optional[Dict[str, Any]]:
    """The content of a status file; None for whatever is none. Its directory may be somebody else's."""
    if len(text) > STATUS_AT_MOST_BYTES:
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and _is_status(content) else None


def status_of(content: Dict[str, Any]) -> Status:
    """The status in a status file's content, which was read by one of the above."""
    return Status(**{name: content[name] for name in Status.__dataclass_fields__ if name in content})


def _is_status(content: Dict[str, Any]) -> bool:
    known = {name: content[name] for name in Status.__dataclass_fields__ if name in content}
    sources = known.get("sources", {})
    numbers = [known.get(name, 0) for name in _COUNTS + _NUMBERS]
    numbers += list(sources.values()) if isinstance(sources, dict) else [None]
    if known.get("eta_seconds") is not None:
        numbers.append(known["eta_seconds"])
    if not all(map(_is_number, numbers)) or not {"phase", "bytes_done", "bytes_total"} <= set(known):
        return False
    return isinstance(known["phase"], str) and isinstance(known.get("message", ""), str)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _MOST
