# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong on the way from a hub, as data: a list of faults, each for the paths that it names."""

from __future__ import annotations

import dataclasses
import fnmatch
import threading
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence

KINDS = {
    "reset": "the connection is reset each time `after_bytes` more bytes of the matching files were sent",
    "stall": "once `after_bytes` bytes of the matching files were sent, a response pauses for `seconds` (or for ever)",
    "status": "answers with status `code` (default 503) and, when given, `retry_after` as Retry-After",
    "flip": "the byte at `offset` of the file is sent with its lowest bit flipped",
    "truncate": "the body ends after `after_bytes` bytes of the response (default: half), the connection is closed",
    "length": "Content-Length is wrong by `delta` bytes",
    "no_range": "Range is ignored: status 200 and the whole file",
    "content_range": "206 for a range that starts `delta` bytes later than asked",
    "redirect": "302 to the second listener, which is another host for the client",
    "expire": "the second listener refuses (403) addresses that were handed out more than `seconds` ago",
    "slow": "at most `bytes_per_second` on each connection",
    "latency": "the answer begins `seconds` later",
    "replace": "once `after_bytes` bytes of the file were sent, another file of its size stands behind its address",
    "gzip": "the body is sent gzip-compressed with Content-Encoding: gzip, asked or not",
    "html": "a login page with status 200 instead of the file",
    "no_digests": "neither the listing nor the file's headers tell a sha256",
    "no_etag": "no ETag header",
    "listing": "the listing lies: `size_bytes`, `sha256` or `rename` replace what is true, `omit` leaves the file out",
}


@dataclasses.dataclass(frozen=True)
class Fault:
    """One kind of fault for the paths that match `path` (a glob; of the file in its repository, or of the URL).

    `times` limits how often it acts; None is always.
    """

    kind: str
    path: str = "*"
    times: Optional[int] = None
    after_bytes: Optional[int] = None
    offset: int = 0
    seconds: Optional[float] = None
    code: int = 503
    retry_after: Optional[str] = None
    delta: int = 1
    bytes_per_second: int = 0
    size_bytes: Optional[int] = None
    sha256: Optional[str] = None
    rename: Optional[str] = None
    omit: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"There is no fault {self.kind!r}. Known: {', '.join(KINDS)}.")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Fault:
        return cls(**value)


class FaultSet:
    """The faults that are in force, and how often each has acted."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._faults: List[Fault] = list(faults)
        self._acted: Dict[int, int] = {}
        self._bytes: Dict[int, int] = {}

    def set(self, faults: Sequence[Fault]) -> None:
        with self._lock:
            self._faults = list(faults)
            self._acted.clear()
            self._bytes.clear()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults = [*self._faults, fault]

    def acted(self, kind: str) -> int:
        """How often faults of this kind have acted."""
        with self._lock:
            return sum(count for index, count in self._acted.items() if self._faults[index].kind == kind)

    def find(self, kind: str, *paths: str) -> Optional[ActiveFault]:
        """The first fault of the kind that matches one of the paths and is not used up."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.kind != kind or not any(fnmatch.fnmatchcase(path, fault.path) for path in paths):
                    continue
                if fault.times is None or self._acted.get(index, 0) < fault.times:
                    return ActiveFault(self, index, fault)
        return None

    def take(self, kind: str, *paths: str) -> Optional[Fault]:
        """Find a fault and count it as having acted."""
        active = self.find(kind, *paths)
        return active.fault if active is not None and active.act() else None

    def has_any(self, kinds: Iterable[str]) -> bool:
        wanted = set(kinds)
        return any(fault.kind in wanted for fault in self._faults)

    def _act(self, index: int, fault: Fault) -> bool:
        with self._lock:
            count = self._acted.get(index, 0)
            if fault.times is not None and count >= fault.times:
                return False
            self._acted[index] = count + 1
            return True

    def _pass_bytes(self, index: int, fault: Fault, count: int, *, periodic: bool) -> bool:
        with self._lock:
            passed = self._bytes.get(index, 0) + count
            due = passed >= (fault.after_bytes or 0)
            self._bytes[index] = 0 if due and periodic else passed
            return due


@dataclasses.dataclass(frozen=True)
class ActiveFault:
    """A fault that applies to one response."""

    owner: FaultSet
    index: int
    fault: Fault

    def act(self) -> bool:
        """Count it; False when another response used it up in the meantime."""
        return self.owner._act(self.index, self.fault)

    def after(self, count: int, *, periodic: bool = False) -> bool:
        """Count bytes of a matching file; True once `after_bytes` have passed (each time anew when periodic)."""
        return self.owner._pass_bytes(self.index, self.fault, count, periodic=periodic)
