# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The threads that fetch: each takes a run of blocks, asks a source for it, and puts every block on the disk."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import (
    RETRY_AFTER_AT_MOST_SECONDS,
    SourceError,
    TransferError,
    Transient,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk import Storage
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.durability import Durability
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.pacing import Pace
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan import BLOCK_BYTES, Plan
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Meter
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.scheduler import Scheduler, Span
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.sources import ByteStream, Session, Source, best_of
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.window import Window

CONNECTIONS_AT_MOST = 16
_FIRST_SPAN_BLOCKS = 4
_SPAN_AT_MOST_BLOCKS = 64
# A run of blocks should take a connection about this long.
_SPAN_SECONDS = 2.0
# A connection that brings less than this share of what another source gives goes over to that one.
_SLOW_SHARE = 0.3
_JUDGE_SPEED_AFTER_SECONDS = 2.0
# Less than this over the whole timeout counts as a stall, however regularly single bytes drip.
_LOWEST_BYTES_PER_SECOND = 1024
_BACKOFF_FIRST_SECONDS = 0.5
_BACKOFF_AT_MOST_SECONDS = 30.0
_PAUSE_AFTER_PROGRESS_SECONDS = 0.1


class Stopped(Exception):
    """Somebody asked the transfer to end."""


class NoRanges(Exception):
    """The source sends whole files only."""


@dataclass
class Crew:
    """What all workers of a transfer share."""

    plan: Plan
    storage: Storage
    window: Window
    scheduler: Scheduler
    durability: Durability
    sources: Sequence[Source]
    meter: Meter
    pace: Pace
    retries: int
    connections: int
    on_error: Callable[[BaseException], None]
    prefixes: List[bytes] = field(default_factory=list)
    sole: Dict[int, Source] = field(default_factory=dict)
    begun: Dict[int, bytes] = field(default_factory=dict)
    origins: bytearray = field(default_factory=bytearray)
    stopping: threading.Event = field(default_factory=threading.Event)
    busy_seen: threading.Event = field(default_factory=threading.Event)
    message: str = ""
    notes: List[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Something that whoever reads the result should know, once."""
        self.message = text
        if text not in self.notes:
            self.notes.append(text)

    def source_for(self, file: int, current: Optional[Source]) -> Source:
        """The source to ask: the current one, unless it is refused or another one is much quicker."""
        if file in self.sole and self.sole[file].serves(file):
            return self.sole[file]
        usable = best_of(self.sources, file)
        if not usable:
            raise self.nobody_left(file)
        untried = [source for source in usable if not source.bytes_per_second]
        if current in usable and (current in untried or not self.is_slow(current, usable)):
            return current
        return random.choice(untried) if untried else max(usable, key=lambda source: source.bytes_per_second)

    @staticmethod
    def is_slow(source: Source, among: Sequence[Source]) -> bool:
        best = max((other.bytes_per_second for other in among), default=0.0)
        return 0 < source.bytes_per_second < _SLOW_SHARE * best

    def nobody_left(self, file: int) -> TransferError:
        reasons = [source.refused[file] for source in self.sources if file in source.refused]
        first = reasons[0]
        if len(reasons) == 1:
            return TransferError(first.problem, first.remedy, reason=first.reason)
        told = " ".join(reason.problem for reason in reasons)
        return TransferError(
            f"No source is left for {self.plan.files[file].path}. {told}", first.remedy, reason=first.reason
        )


class Worker:
    """One connection."""

    def __init__(self, crew: Crew, number: int) -> None:
        self._crew = crew
        self._source: Optional[Source] = crew.sources[number % len(crew.sources)]
        self._session: Optional[Session] = None
        self._session_of: Optional[Source] = None
        self._failures = 0
        self._failing_since = 0.0
        self._got_bytes = False
        self._filled = 0
        self._scratch: Optional[memoryview] = None
        self.retired = False
        self.thread = threading.Thread(target=self._work, name=f"fetch-{number}", daemon=True)

    def wake(self) -> None:
        session = self._session
        if session is not None:
            session.abort()

    def _work(self) -> None:
        try:
            while not self._crew.stopping.is_set() and not self.retired:
                if self._crew.pace.pauses():
                    self._crew.stopping.wait(1.0)
                    continue
                if not self._turn():
                    break
        except Stopped:
            pass
        except BaseException as error:  # pylint: disable=broad-except
            self._crew.on_error(error)
        finally:
            if self._session is not None:
                self._session.close()

    def _turn(self) -> bool:
        """Fetch one run of blocks; false when the transfer is over."""
        crew = self._crew
        span = crew.scheduler.take(self._span_blocks(), crew.connections)
        if span is None:
            if crew.scheduler.closed:
                return False
            crew.scheduler.wait(0.5)
            return True
        self._got_bytes = False
        try:
            source = self._source = crew.source_for(span.file, self._source)
        except TransferError:
            crew.scheduler.take_back(span)
            raise
        try:
            if source.ranges:
                self._fetch(source, span)
            else:
                crew.scheduler.take_back(span)
                self._stream_file(source, span.file)
            self._failures = 0
        except NoRanges:
            crew.scheduler.take_back(span)
        except Transient as error:
            crew.scheduler.take_back(span)
            self._after_failure(error)
        except SourceError as error:
            crew.scheduler.take_back(span)
            source.refuse(span.file, error)
            crew.note(error.problem)
        except BaseException:
            crew.scheduler.take_back(span)
            raise
        return True

    def _span_blocks(self) -> int:
        speed = self._source.bytes_per_second if self._source else 0.0
        if not speed:
            return _FIRST_SPAN_BLOCKS
        return max(_FIRST_SPAN_BLOCKS, min(_SPAN_AT_MOST_BLOCKS, int(speed * _SPAN_SECONDS / BLOCK_BYTES)))

    def _fetch(self, source: Source, span: Span) -> None:
        crew = self._crew
        file, offset, length = crew.plan.locate(span.next)
        _file, last_offset, last_length = crew.plan.locate(span.end - 1)
        known = self._known(file, offset, length)
        start = offset + len(known)
        end = last_offset + last_length
        began = time.monotonic()
        stream = source.open(self._open_session(source), file, crew.plan.files[file], start, end - start)
        try:
            if stream.whole:
                raise NoRanges
            self._receive(source, stream, span, known, began)
        finally:
            stream.close()

    def _known(self, file: int, offset: int, length: int) -> bytes:
        """What the header, or an attempt that broke off, brought of this block already."""
        crew = self._crew
        begun = crew.begun.pop(crew.plan.first_blocks[file] + offset // BLOCK_BYTES, b"")
        header = crew.prefixes[file][offset : offset + length] if crew.prefixes else b""
        return max(begun, header, key=len)

    def _receive(self, source: Source, stream: ByteStream, span: Span, known: bytes, began: float) -> None:
        crew = self._crew
        more, received, first, asked_at = True, 0, span.next, began
        while more:
            _file, _offset, length = crew.plan.locate(span.next)
            crew.durability.wait_for_room()
            buffer = crew.window.acquire()
            buffer[: len(known)] = known
            try:
                self._fill(source, stream, buffer[:length], len(known))
            except Transient:
                crew.begun[span.next] = bytes(buffer[: self._filled])
                crew.window.release(buffer)
                raise
            except BaseException:
                crew.window.release(buffer)
                raise
            received += length - len(known)
            known = b""
            more = self._put(span, buffer, length, crew.sources.index(source))
            now = time.monotonic()
            elapsed = now - began
            if more:
                span.seconds_per_block = (now - asked_at) / (span.next - first)
            if elapsed >= _JUDGE_SPEED_AFTER_SECONDS or not more:
                source.learn_speed(received / max(elapsed, 1e-6))
                began, received = time.monotonic(), 0
                usable = best_of(crew.sources, span.file)
                if more and crew.is_slow(source, usable) and source in usable and span.file not in crew.sole:
                    crew.scheduler.take_back(span)
                    return

    def _put(self, span: Span, buffer: memoryview, length: int, origin: int) -> bool:
        """A whole block: to the disk, to the journal, to the digests. Tells whether the span has more."""
        crew, block = self._crew, span.next
        file, offset, _length = crew.plan.locate(block)
        try:
            crew.storage.write(file, offset, buffer[:length])
        except BaseException:
            crew.window.release(buffer)
            raise
        crew.origins[block] = origin
        crew.durability.written(block)
        more = crew.scheduler.advance(span)
        crew.window.deliver(block, buffer)
        return more

    def _fill(self, source: Source, stream: ByteStream, view: memoryview, at: int) -> None:
        """Receive until the view is full, as quickly as the limits allow."""
        crew = self._crew
        timeout = source.access.timeout_seconds
        judged_at, judged = time.monotonic(), at
        self._filled = at
        while at < len(view):
            if crew.stopping.is_set():
                raise Stopped
            wanted, granted = view[at:], len(view) - at
            if crew.pace.limit is not None:
                granted, pause = crew.pace.limit.take(granted)
                if not granted:
                    crew.stopping.wait(pause)
                    judged_at, judged = time.monotonic(), at
                    continue
                wanted = wanted[:granted]
            count = stream.readinto(wanted)
            if crew.pace.limit is not None and count < granted:
                crew.pace.limit.give_back(granted - count)
            at += count
            self._filled = at
            self._got_bytes = True
            crew.meter.add(count, source.name)
            now = time.monotonic()
            if now - judged_at >= timeout:
                if at - judged < _LOWEST_BYTES_PER_SECOND * (now - judged_at):
                    raise Transient(f"{source.name} sends {at - judged} bytes in {timeout:g} s.", reason="stall")
                judged_at, judged = now, at

    def _stream_file(self, source: Source, file: int) -> None:
        """A whole file from byte 0, as far as it is missing; the rest of what comes is thrown away."""
        crew = self._crew
        if not source.stream.acquire(timeout=1.0):
            return
        try:
            if not crew.scheduler.file_is_missing_any(file):
                return
            crew.note(f"{source.name} knows no ranges: one stream, and an interrupted file begins anew")
            stream = source.open(self._open_session(source), file, crew.plan.files[file], 0, 1)
            try:
                for block in crew.plan.blocks_of(file):
                    self._stream_block(source, stream, block)
            finally:
                stream.close()
                if self._session is not None:
                    self._session.close()
        finally:
            source.stream.release()

    def _stream_block(self, source: Source, stream: ByteStream, block: int) -> None:
        crew = self._crew
        _file, _offset, length = crew.plan.locate(block)
        span = crew.scheduler.claim(block)
        if span is None:
            if self._scratch is None:
                self._scratch = memoryview(bytearray(BLOCK_BYTES))
            self._fill(source, stream, self._scratch[:length], 0)
            return
        try:
            crew.durability.wait_for_room()
            buffer = crew.window.acquire()
            try:
                self._fill(source, stream, buffer[:length], 0)
            except BaseException:
                crew.window.release(buffer)
                raise
            self._put(span, buffer, length, crew.sources.index(source))
        except BaseException:
            crew.scheduler.take_back(span)
            raise

    def _open_session(self, source: Source) -> Session:
        if self._session is None or self._session_of is not source:
            if self._session is not None:
                self._session.close()
            self._session, self._session_of = source.session(), source
        return self._session

    def _after_failure(self, error: Transient) -> None:
        """Wait a little longer each time; give up after so many failures in a row in which nothing came at all."""
        crew = self._crew
        if crew.stopping.is_set():
            raise Stopped
        if self._session is not None:
            self._session.close()
        now = time.monotonic()
        if self._got_bytes or self._failures == 0 or crew.meter.last_progress > self._failing_since:
            self._failures, self._failing_since = 0, now
        self._failures += 1
        crew.message = error.problem
        if self._failures > crew.retries:
            raise TransferError(
                f"{error.problem} {self._failures} attempts in a row brought nothing.",
                "What was fetched is kept: run again when the server or the network is well.",
                reason=error.reason,
            ) from error
        if error.busy:
            crew.busy_seen.set()
        pause = min(_BACKOFF_AT_MOST_SECONDS, _BACKOFF_FIRST_SECONDS * 2 ** (self._failures - 1))
        if self._got_bytes:
            pause = _PAUSE_AFTER_PROGRESS_SECONDS
        if error.retry_after_seconds is not None:
            pause = max(pause, min(error.retry_after_seconds, RETRY_AFTER_AT_MOST_SECONDS))
        others = [source for source in crew.sources if source is not self._source]
        if others and error.retry_after_seconds is None:
            self._source, pause = random.choice(others), min(pause, _BACKOFF_FIRST_SECONDS)
        crew.stopping.wait(pause * random.uniform(1.0, 1.25))


def set_workers(crew: Crew, workers: List[Worker], count: int) -> None:
    """Bring the crew to this many connections; those that are too many end with the run of blocks they are at."""
    crew.connections = count
    workers[:] = [worker for worker in workers if not worker.retired or worker.thread.is_alive()]
    active = [worker for worker in workers if not worker.retired]
    for worker in active[count:]:
        worker.retired = True
    for _missing in range(count - len(active)):
        worker = Worker(crew, len(workers))
        workers.append(worker)
        worker.thread.start()
