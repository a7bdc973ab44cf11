# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The threads that fetch: each takes a run of blocks, asks a source for it, and puts every block on the disk."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.memory import page_aligned
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import (
    RETRY_AFTER_AT_MOST_SECONDS,
    SourceError,
    TransferError,
    Transient,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.durability import Durability
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.files import Storage
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.pacing import Pace
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.scheduler import Scheduler, Span
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.sources import (
    ByteStream,
    Session,
    Source,
    best_of,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import BLOCK_BYTES, Plan
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Meter
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.window import Window

CONNECTIONS_AT_MOST = 16
_MAGIC = b"GGUF"
_FIRST_SPAN_BLOCKS = 4
_SPAN_AT_MOST_BLOCKS = 64
# A run of blocks should take a connection about this long.
_SPAN_SECONDS = 2.0
# A connection that brings less than this share of what another source gives goes over to that one.
_SLOW_SHARE = 0.3
_JUDGE_SPEED_AFTER_SECONDS = 2.0
# A connection that brings less than this goes over to a source that nobody has tried yet.
_TRICKLE_BYTES_PER_SECOND = 64 * 1024
# An attempt that brought this much before it broke off was worth it: a source that sends a byte each time is not kept.
_WORTH_BYTES = 64 * 1024
# The one source that shall bring a file alone is another one after so many failures.
_ONLY_SOURCE_FAILURES = 2
_BACKOFF_FIRST_SECONDS = 0.5
_BACKOFF_AT_MOST_SECONDS = 30.0
_PAUSE_AFTER_PROGRESS_SECONDS = 0.1


class Stopped(Exception):
    """Somebody asked the transfer to end."""


class NoRanges(Exception):
    """The source sends whole files only."""


class Slower(Exception):
    """Another source is much quicker."""


@dataclass
class WorkerPool:
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
    only_source: Dict[int, Source] = field(default_factory=dict)
    # What of a block has come before its attempt broke off, and whose bytes those are: one bit for each source.
    begun: Dict[int, Tuple[bytes, int]] = field(default_factory=dict)
    # Whose bytes are in each block; `unknown` is the bit of an earlier run, or of a header that no checksum proves.
    origins: List[int] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    busy_seen: threading.Event = field(default_factory=threading.Event)
    message: str = ""
    notes: List[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Something that whoever reads the result should know, once."""
        self.message = text
        if text not in self.notes:
            self.notes.append(text)

    @property
    def unknown(self) -> int:
        return 1 << len(self.sources)

    def bit(self, source: Source) -> int:
        return 1 << self.sources.index(source)

    def among(self, file: int) -> List[Source]:
        """The sources that may bring this file now, resting ones included."""
        usable = best_of(self.sources, file)
        if not usable:
            raise self.nobody_left(file)
        only_source = self.only_source.get(file)
        if only_source not in usable:
            return usable
        if only_source.failures >= _ONLY_SOURCE_FAILURES and len(usable) > 1:
            only_source = self.only_source[file] = min(
                (one for one in usable if one is not only_source), key=lambda one: one.failures
            )
        return [only_source]

    def source_for(self, file: int, current: Optional[Source]) -> Optional[Source]:
        """The source to ask: one that nobody has tried yet, else the current one unless another one is much quicker.

        None while all of them rest.
        """
        now = time.monotonic()
        awake = [source for source in self.among(file) if source.rests_until <= now]
        if not awake:
            return None
        untried = [source for source in awake if not source.bytes_per_second and not source.failures]
        if untried:
            return current if current in untried else random.choice(untried)
        well = [source for source in awake if not source.failures] or awake
        if current in well and not self.is_slow(current, well):
            return current
        return max(well, key=lambda source: source.bytes_per_second)

    def has_better(self, source: Source, file: int, bytes_per_second: float) -> bool:
        """Whether to leave a source for another one, and not only at the end of a run of blocks."""
        now = time.monotonic()
        usable = best_of(self.sources, file)
        others = [one for one in usable if one is not source and one.rests_until <= now and not one.failures]
        untried = any(not one.bytes_per_second for one in others)
        better = self.is_slow(source, others) or (untried and bytes_per_second < _TRICKLE_BYTES_PER_SECOND)
        if source not in usable or not better:
            return False
        if self.only_source.get(file) is source:
            # Who brings all of a file alone can be anybody, so it need not be the slowest.
            self.only_source[file] = max(others, key=lambda one: (not one.bytes_per_second, one.bytes_per_second))
        return True

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

    def __init__(self, pool: WorkerPool, number: int) -> None:
        self._pool = pool
        self._source: Optional[Source] = pool.sources[number % len(pool.sources)]
        self._session: Optional[Session] = None
        self._session_of: Optional[Source] = None
        self._received = 0
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
            while not self._pool.stopping.is_set() and not self.retired:
                if self._pool.pace.pauses():
                    self._pool.stopping.wait(1.0)
                    continue
                if not self._turn():
                    break
        except Stopped:
            pass
        except BaseException as error:  # pylint: disable=broad-except
            self._pool.on_error(error)
        finally:
            if self._session is not None:
                self._session.close()

    def _turn(self) -> bool:
        """Fetch one run of blocks; false when the transfer is over."""
        pool = self._pool
        span = pool.scheduler.take(self._span_blocks(), pool.connections)
        if span is None:
            if pool.scheduler.closed:
                return False
            pool.scheduler.wait(0.5)
            return True
        self._received, began = 0, time.monotonic()
        try:
            source = pool.source_for(span.file, self._source)
        except TransferError:
            pool.scheduler.take_back(span)
            raise
        if source is None:
            pool.scheduler.take_back(span)
            pool.stopping.wait(_PAUSE_AFTER_PROGRESS_SECONDS)
            return True
        self._source = source
        try:
            if source.ranges:
                self._fetch(source, span)
            else:
                pool.scheduler.take_back(span)
                self._stream_file(source, span.file)
        except (NoRanges, Slower):
            pool.scheduler.take_back(span)
        except Transient as error:
            pool.scheduler.take_back(span)
            self._after_failure(error, source, span.file, began)
        except SourceError as error:
            pool.scheduler.take_back(span)
            source.refuse(span.file, error)
            pool.note(error.problem)
        except BaseException:
            pool.scheduler.take_back(span)
            raise
        return True

    def _span_blocks(self) -> int:
        speed = self._source.bytes_per_second if self._source else 0.0
        if not speed:
            return _FIRST_SPAN_BLOCKS
        return max(_FIRST_SPAN_BLOCKS, min(_SPAN_AT_MOST_BLOCKS, int(speed * _SPAN_SECONDS / BLOCK_BYTES)))

    def _fetch(self, source: Source, span: Span) -> None:
        pool = self._pool
        file, offset, length = pool.plan.locate(span.next)
        _file, last_offset, last_length = pool.plan.locate(span.end - 1)
        known = self._known(file, offset, length)
        start = offset + len(known[0])
        end = last_offset + last_length
        began = time.monotonic()
        stream = source.open(self._open_session(source), file, pool.plan.files[file], start, end - start)
        try:
            if stream.whole:
                raise NoRanges
            self._receive(source, stream, span, known, began)
        finally:
            stream.close()

    def _known(self, file: int, offset: int, length: int) -> Tuple[bytes, int]:
        """What the header, or an attempt that broke off, brought of this block already, and from whom."""
        pool = self._pool
        begun = pool.begun.pop(pool.plan.first_blocks[file] + offset // BLOCK_BYTES, (b"", 0))
        header = pool.prefixes[file][offset : offset + length] if pool.prefixes else b""
        if len(begun[0]) >= len(header):
            return begun
        return header, 0 if pool.plan.files[file].header_sha256 else pool.unknown

    def _receive(self, source: Source, stream: ByteStream, span: Span, begun: Tuple[bytes, int], began: float) -> None:
        pool = self._pool
        known, bits = begun
        more, received, first, asked_at = True, 0, span.next, began
        while more:
            _file, _offset, length = pool.plan.locate(span.next)
            pool.durability.wait_for_room()
            buffer = pool.window.acquire()
            buffer[: len(known)] = known
            try:
                self._fill(source, stream, buffer[:length], len(known), span.file)
            except (Transient, Slower):
                data = bytes(buffer[: self._filled])
                pool.window.release(buffer)
                self._keep_begun(span.next, data, bits, source)
                raise
            except BaseException:
                pool.window.release(buffer)
                raise
            received += length - len(known)
            known = b""
            more = self._put(source, span, buffer, length, bits | pool.bit(source))
            bits = 0
            now = time.monotonic()
            elapsed = now - began
            if more:
                span.seconds_per_block = (now - asked_at) / (span.next - first)
            if elapsed >= _JUDGE_SPEED_AFTER_SECONDS or not more:
                source.learn_speed(received / max(elapsed, 1e-6))
                began, received = time.monotonic(), 0
                if more and pool.has_better(source, span.file, source.bytes_per_second):
                    raise Slower

    def _keep_begun(self, block: int, data: bytes, bits: int, source: Source) -> None:
        """The bytes of an attempt that broke off, for the next one."""
        pool = self._pool
        if block in pool.plan.first_blocks and len(data) >= len(_MAGIC):
            self._refuse_other_files(source, pool.plan.file_of(block), data)
        pool.begun[block] = data, bits | pool.bit(source)

    @staticmethod
    def _refuse_other_files(source: Source, file: int, data: bytes) -> None:
        if not data.startswith(_MAGIC):
            raise SourceError(
                f"{source.shown(file)} is not a GGUF file.",
                "Look at the address in the lock or at this mirror; models are published as GGUF files only.",
                reason="not-gguf",
            )

    def _put(self, source: Source, span: Span, buffer: memoryview, length: int, bits: int) -> bool:
        """A whole block: to the disk, to the journal, to the digests. Tells whether the span has more."""
        pool, block = self._pool, span.next
        file, offset, _length = pool.plan.locate(block)
        try:
            if not offset:
                self._refuse_other_files(source, file, bytes(buffer[: len(_MAGIC)]))
            pool.storage.write(file, offset, buffer[:length])
        except BaseException:
            pool.window.release(buffer)
            raise
        pool.origins[block] = bits
        source.delivered()
        pool.durability.written(block)
        more = pool.scheduler.advance(span)
        pool.window.deliver(block, buffer)
        return more

    def _fill(self, source: Source, stream: ByteStream, view: memoryview, at: int, file: int) -> None:
        """Receive until the view is full, as quickly as the limits allow, and as long as no other source is better."""
        pool = self._pool
        judged_at, judged = time.monotonic(), at
        self._filled = at
        while at < len(view):
            if pool.stopping.is_set():
                raise Stopped
            wanted, granted = view[at:], len(view) - at
            if pool.pace.limit is not None:
                granted, pause = pool.pace.limit.take(granted)
                if not granted:
                    pool.stopping.wait(pause)
                    judged_at, judged = time.monotonic(), at
                    continue
                wanted = wanted[:granted]
            count = stream.readinto(wanted)
            if not count:
                raise Transient(f"{source.name} sent {len(view) - at} bytes less than it has to.", reason="short-body")
            if pool.pace.limit is not None and count < granted:
                pool.pace.limit.give_back(granted - count)
            at += count
            self._filled = at
            self._received += count
            pool.meter.add(count, source.name)
            now = time.monotonic()
            if now - judged_at >= _JUDGE_SPEED_AFTER_SECONDS and at < len(view):
                speed = (at - judged) / (now - judged_at)
                source.learn_speed(speed)
                judged_at, judged = now, at
                if source.ranges and pool.has_better(source, file, speed):
                    raise Slower

    def _stream_file(self, source: Source, file: int) -> None:
        """A whole file from byte 0, as far as it is missing; the rest of what comes is thrown away."""
        pool = self._pool
        if not source.stream.acquire(timeout=1.0):
            return
        try:
            if not pool.scheduler.file_is_missing_any(file):
                return
            pool.note(f"{source.name} knows no ranges: one stream, and an interrupted file starts from the beginning")
            size = pool.plan.files[file].size_bytes
            stream = source.open(self._open_session(source), file, pool.plan.files[file], 0, size)
            try:
                for block in pool.plan.blocks_of(file):
                    self._stream_block(source, stream, block)
            except Transient:
                # What comes of it again next time was not worth the attempt; blocks that were put have counted already.
                self._received = 0
                raise
            finally:
                stream.close()
                if self._session is not None:
                    self._session.close()
        finally:
            source.stream.release()

    def _stream_block(self, source: Source, stream: ByteStream, block: int) -> None:
        pool = self._pool
        _file, _offset, length = pool.plan.locate(block)
        span = pool.scheduler.claim(block)
        if span is None:
            if self._scratch is None:
                self._scratch = page_aligned(BLOCK_BYTES)
            self._fill(source, stream, self._scratch[:length], 0, _file)
            return
        try:
            pool.durability.wait_for_room()
            buffer = pool.window.acquire()
            try:
                self._fill(source, stream, buffer[:length], 0, _file)
            except BaseException:
                pool.window.release(buffer)
                raise
            self._put(source, span, buffer, length, pool.bit(source))
        except BaseException:
            pool.scheduler.take_back(span)
            raise

    def _open_session(self, source: Source) -> Session:
        if self._session is None or self._session_of is not source:
            if self._session is not None:
                self._session.close()
            self._session, self._session_of = source.session(), source
        return self._session

    def _after_failure(self, error: Transient, source: Source, file: int, began: float) -> None:
        """Leave the source alone, longer each time; give up when all have failed so many times in a row."""
        pool = self._pool
        if pool.stopping.is_set():
            raise Stopped
        if self._session is not None:
            self._session.close()
        pool.message = error.problem
        if error.busy:
            pool.busy_seen.set()
        wished = min(error.retry_after_seconds or 0.0, RETRY_AFTER_AT_MOST_SECONDS)
        if self._received >= _WORTH_BYTES:
            source.delivered()
            if not wished:
                pool.stopping.wait(_PAUSE_AFTER_PROGRESS_SECONDS * random.uniform(1.0, 1.25))
                return
        pause = min(_BACKOFF_AT_MOST_SECONDS, _BACKOFF_FIRST_SECONDS * 2**source.failures)
        source.failed(began, max(pause * random.uniform(1.0, 1.25), wished))
        if all(one.failures > pool.retries for one in best_of(pool.sources, file)):
            raise TransferError(
                f"{error.problem} {source.failures} attempts in a row fetched nothing.",
                "What was fetched is kept: run again when the server or the network works.",
                reason=error.reason,
            ) from error


def set_workers(pool: WorkerPool, workers: List[Worker], count: int) -> None:
    """Bring the pool to this many connections; those that are too many end with the run of blocks they are at."""
    pool.connections = count
    workers[:] = [worker for worker in workers if not worker.retired or worker.thread.is_alive()]
    active = [worker for worker in workers if not worker.retired]
    for worker in active[count:]:
        worker.retired = True
    for _missing in range(count - len(active)):
        worker = Worker(pool, len(workers))
        workers.append(worker)
        worker.thread.start()
