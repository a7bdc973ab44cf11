# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The headers of the shards, by small ranges: what the layout of the merged file is computed from."""

from __future__ import annotations

import hashlib
import time
from typing import Callable, Dict, List, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import (
    GgufError,
    Header,
    NeedMore,
    parse_header,
)
from ansible_collections.gguf.fleet.plugins.module_utils._http.answer import small_range_deadline
from ansible_collections.gguf.fleet.plugins.module_utils._http.deadline import Overdue
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import (
    RETRY_AFTER_AT_MOST_SECONDS,
    SourceError,
    TransferError,
    Transient,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.sources import Session, Source, best_of
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import LockedFile
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Meter

_FIRST_BYTES = 1 << 16
_PAUSE_AT_MOST_SECONDS = 10.0


def parse(file: LockedFile, raw: bytes) -> Header:
    """The header of a file; NeedMore tells how much more of the file it takes."""
    try:
        return parse_header(raw, size_bytes=file.size_bytes)
    except GgufError as error:
        raise SourceError(f"{file.path}: {error.problem}", error.remedy, reason="not-gguf") from error


def fetch_headers(
    files: Sequence[LockedFile],
    sources: Sequence[Source],
    *,
    retries: int,
    meter: Meter,
    tick: Callable[[int], None],
) -> List[Tuple[bytes, Header]]:
    """Each file's header, and the first bytes of the file that it was read from. ``tick`` sees how many are there."""
    found = []
    sessions = {source.name: source.session() for source in sources}
    try:
        for index, file in enumerate(files):
            tick(index)
            found.append(_from_any(index, file, sources, sessions=sessions, retries=retries, meter=meter, tick=tick))
    finally:
        for session in sessions.values():
            session.close()
    return found


def _from_any(
    index: int,
    file: LockedFile,
    sources: Sequence[Source],
    *,
    sessions: Dict[str, Session],
    retries: int,
    meter: Meter,
    tick: Callable[[int], None],
) -> Tuple[bytes, Header]:
    failures = 0
    while True:
        usable = best_of(sources, index)
        if not usable:
            raise next(source.refused[index] for source in sources if index in source.refused)
        # Who failed for one file is not the first to be asked for the next.
        source = min(usable, key=lambda one: one.failures)
        began = time.monotonic()
        try:
            return _from_one(index, file, source, sessions[source.name], meter)
        except SourceError as error:
            source.refuse(index, error)
        except Transient as error:
            failures += 1
            source.failed(began, 0.0)
            if failures > retries:
                raise TransferError(error.problem, error.remedy, reason=error.reason) from error
            pause = min(_PAUSE_AT_MOST_SECONDS, 0.25 * 2 ** (failures - 1))
            if error.retry_after_seconds is not None:
                pause = max(pause, min(error.retry_after_seconds, RETRY_AFTER_AT_MOST_SECONDS))
            if len(usable) == 1:
                _pause(pause, lambda: tick(index))


def _pause(seconds: float, tick: Callable[[], None]) -> None:
    """Sleep, and stay responsive to whoever wants this to end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        tick()
        time.sleep(min(0.5, max(0.0, end - time.monotonic())))


def _from_one(index: int, file: LockedFile, source: Source, session: Session, meter: Meter) -> Tuple[bytes, Header]:
    def read(start: int, end: int) -> memoryview:
        # A server without ranges begins at 0 each time; what is known already is read over.
        stream = source.open(session, index, file, start, end - start)
        try:
            buffer = memoryview(bytearray(end - stream.start))
            deadline = small_range_deadline(len(buffer), source.access.timeout_seconds)
            at = 0
            while at < len(buffer):
                count = stream.readinto(buffer[at:])
                if not count:
                    raise Transient(f"{source.shown(index)} ended {len(buffer) - at} bytes early.", reason="short-body")
                meter.add(count, source.name)
                at += count
                if at < len(buffer):
                    deadline.left()
            return buffer[start - stream.start :]
        except Overdue as error:
            raise Transient(f"{source.shown(index)} is too slow: {error}.", reason="stall") from error
        finally:
            stream.close()

    raw = bytearray()
    wanted = min(file.header_bytes or _FIRST_BYTES, file.size_bytes)
    while True:
        raw += read(len(raw), wanted)
        if not _is_locked(file, bytes(raw)):
            # Once may be the way; twice is the source.
            raw = bytearray(read(0, wanted))
            if not _is_locked(file, bytes(raw)):
                raise SourceError(
                    f"{source.shown(index)}: the header is not the one that was locked.",
                    "Resolve again if the publisher replaced the file; otherwise this mirror is wrong.",
                    reason="checksum",
                )
        try:
            header = parse(file, bytes(raw))
        except NeedMore as more:
            if more.total_bytes > file.size_bytes:
                raise SourceError(
                    f"{file.path} ends inside its own header.",
                    "Resolve again; the file on the hub is damaged.",
                    reason="not-gguf",
                ) from more
            wanted = min(max(more.total_bytes, 4 * len(raw)), file.size_bytes)
            continue
        return bytes(raw), header


def _is_locked(file: LockedFile, raw: bytes) -> bool:
    """Whether this is the header that the lock knows; where it knows none, the shard's own checksum will tell."""
    if not file.header_sha256 or not file.header_bytes:
        return True
    return hashlib.sha256(raw[: file.header_bytes]).hexdigest() == file.header_sha256
