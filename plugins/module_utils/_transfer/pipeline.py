# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One transfer from the first missing block to the last proved digest."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import SourceError, TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.digests import Digest, Digests
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.durability import Durability
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.files import Storage
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.journal import MISSING, Journal
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.connections import FIRST_CONNECTIONS, Growth
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.pacing import Pace
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.scheduler import Scheduler
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.sources import Source
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.workers import (
    CONNECTIONS_AT_MOST,
    Worker,
    WorkerPool,
    set_workers,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import Plan
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Meter, Status
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.window import Window

_BUFFERS_BESIDE_CONNECTIONS = 32
_TICK_SECONDS = 0.25
# The same bytes are believed to be the source's own after they came twice.
_FETCHES_AT_MOST = 2
# A transfer that goes wrong without end ends here, whatever its sources do.
_REPAIRS_AT_MOST = 50


class WrongHeader(Exception):
    """A header that the layout was made from turned out wrong once the file's checksum was checked."""


@dataclass(frozen=True)
class Settings:
    connections: Optional[int] = None  # None: as many as help
    retries: int = 8
    pace: Pace = field(default_factory=Pace)


@dataclass
class Outcome:
    bytes_moved: int
    seconds: float
    digests: Dict[str, str]
    sources: Dict[str, int]
    notes: List[str]


class Transfer:
    """Fetches what the journal says is missing, and hashes everything."""

    def __init__(
        self,
        plan: Plan,
        storage: Storage,
        journal: Journal,
        sources: Sequence[Source],
        *,
        settings: Settings,
        meter: Meter,
    ) -> None:
        self._plan = plan
        self._journal = journal
        self._sources = sources
        self._settings = settings
        self._meter = meter
        self._failed: Optional[BaseException] = None
        self._lock = threading.Lock()
        self._fetches: Dict[str, int] = {}
        self._strikes: Dict[Tuple[Source, int], int] = {}
        self._began = time.monotonic()
        self._workers: List[Worker] = []
        window = Window(
            plan,
            storage,
            bytes(journal.states),
            (settings.connections or CONNECTIONS_AT_MOST) + _BUFFERS_BESIDE_CONNECTIONS,
        )
        self._pool = WorkerPool(
            plan=plan,
            storage=storage,
            window=window,
            scheduler=Scheduler(plan, bytes(journal.states)),
            durability=Durability(plan, storage, journal, self._fail),
            sources=sources,
            meter=self._meter,
            pace=settings.pace,
            retries=settings.retries,
            connections=settings.connections or FIRST_CONNECTIONS,
            on_error=self._fail,
            prefixes=list(plan.headers),
            origins=[1 << len(sources)] * plan.block_count,
        )
        self._digests = Digests(
            plan,
            window,
            threads=max(2, min(4, os.cpu_count() or 2)),
            on_wrong=self._repair,
            on_error=self._fail,
        )

    def run(self, tick: Callable[[Status], None]) -> Outcome:
        """Raises what made it impossible. ``tick`` sees the status a few times a second and may raise to end it."""
        self._pool.durability.start()
        self._digests.start()
        try:
            self._run(tick)
        finally:
            self._stop()
        if self._failed is not None:
            raise self._failed
        return self._outcome()

    def _run(self, tick: Callable[[Status], None]) -> None:
        connections = self._settings.connections
        growth = Growth(CONNECTIONS_AT_MOST, self._meter.total, time.monotonic())
        while self._failed is None and not (self._pool.scheduler.finished and self._digests.finished):
            if not self._pool.scheduler.finished:
                welcome = not self._pool.busy_seen.is_set()
                grown = growth.look(self._meter.total, time.monotonic(), welcome=welcome)
                set_workers(self._pool, self._workers, connections or grown)
                self._pool.scheduler.wait(_TICK_SECONDS)
            else:
                self._digests.wait(_TICK_SECONDS)
            tick(self.status())
        if self._failed is None:
            self._judge_headers()
            self._judge_whole()

    def _stop(self) -> None:
        self._pool.stopping.set()
        self._pool.scheduler.close()
        for worker in self._workers:
            worker.wake()
        for worker in self._workers:
            while worker.thread.is_alive():
                worker.wake()
                worker.thread.join(0.2)
        self._digests.stop()
        self._pool.durability.stop()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._failed is None:
                self._failed = error
        self._pool.stopping.set()
        self._pool.scheduler.close()

    def _repair(self, digest: Digest) -> None:
        """A digest is wrong: fetch what it vouches for again, from somebody else where there is somebody else."""
        part = digest.wanted.repair
        if part is None:
            raise AssertionError("only a digest with a part to repair comes here")
        blocks = self._plan.overlapped(part)
        wrong = TransferError(
            f"{digest.wanted.name}: the sha256 is {digest.value}, the lock says {digest.wanted.expected}.",
            "The bytes of this source are not those that were locked: use another mirror, or resolve again.",
            reason="checksum",
        )
        bits = 0
        for block in blocks:
            bits |= self._pool.origins[block]
        self._fetches[digest.wanted.name] = self._fetches.get(digest.wanted.name, 0) + 1
        self._pool.durability.lose(blocks, MISSING)
        guilty = next((source for source in self._sources if bits == self._pool.bit(source)), None)
        if guilty is not None:
            self._strike(guilty, part.file, wrong)
        usable = [source for source in self._sources if source.serves(part.file)]
        if not usable or self._fetches[digest.wanted.name] > _REPAIRS_AT_MOST:
            self._fail(self._pool.nobody_left(part.file) if not usable else wrong)
            return
        if guilty is None:
            # Several had a part in it, or an earlier run: one alone now, so that the next time it is known who it was.
            self._pool.only_source[part.file] = min(usable, key=lambda source: source.failures)
        self._pool.note(f"{digest.wanted.name}: wrong sha256, {len(blocks)} MiB are fetched again")
        if self._pool.prefixes:
            # The header itself may be what is wrong, so its bytes come anew like all others.
            self._pool.prefixes[part.file] = b""
        for block in blocks:
            self._pool.begun.pop(block, None)
        self._pool.window.lose(blocks)
        self._digests.repeat(blocks)
        self._pool.scheduler.lose(blocks)

    def _strike(self, guilty: Source, file: int, wrong: TransferError) -> None:
        """All wrong bytes were this source's: the others have to do, or else it gets one more chance."""
        strikes = self._strikes[guilty, file] = self._strikes.get((guilty, file), 0) + 1
        others = [source for source in self._sources if source is not guilty and source.serves(file)]
        if others or strikes >= _FETCHES_AT_MOST:
            problem = SourceError(f"{guilty.name}: {wrong.problem}", wrong.remedy, reason="checksum")
            guilty.refuse(file, problem)
        if not any(source.serves(file) for source in self._sources):
            # A byte that was flipped on the way once does not end a transfer whose other sources are worse.
            for source in self._sources:
                if 0 < self._strikes.get((source, file), 0) < _FETCHES_AT_MOST:
                    source.refused.pop(file, None)

    def _judge_headers(self) -> None:
        if tuple(self._journal.headers()) != self._plan.headers:
            raise WrongHeader

    def _judge_whole(self) -> None:
        """The last word before anything gets its name."""
        for digest in self._digests.all:
            if not digest.is_right:
                raise TransferError(
                    f"{digest.wanted.name}: the sha256 is {digest.value}, the lock says {digest.wanted.expected}.",
                    "All shards are right, so the lock's merged checksum is wrong: resolve and seal again.",
                    reason="checksum",
                )

    def status(self) -> Status:
        states = self._journal.states
        done = self._plan.size_bytes - self._missing_bytes(states)
        hashed, to_hash = self._digests.progress()
        rate = self._meter.rate()
        fetched = self._pool.scheduler.finished
        paused = self._settings.pace.pauses()
        left = self._plan.size_bytes - done
        return Status(
            phase="verify" if fetched else "pause" if paused else "download",
            bytes_done=done,
            bytes_total=self._plan.size_bytes,
            bytes_moved=self._meter.total,
            bytes_verified=hashed,
            bytes_to_verify=to_hash,
            rate_bytes_per_second=0.0 if fetched else rate,
            eta_seconds=left / rate if rate and not fetched else None,
            connections=sum(worker.thread.is_alive() for worker in self._workers),
            seconds=time.monotonic() - self._began,
            message=f"waits for {self._settings.pace.window}" if paused and not fetched else self._pool.message,
            sources=dict(self._meter.by_source),
        )

    def _missing_bytes(self, states: bytearray) -> int:
        missing = 0
        for file, locked in enumerate(self._plan.files):
            blocks = self._plan.blocks_of(file)
            count = states.count(MISSING, blocks.start, blocks.stop)
            if count and states[blocks.stop - 1] == MISSING:
                missing += self._plan.locate(blocks.stop - 1)[2]
                count -= 1
            missing += count * min(locked.size_bytes, 1 << 20)
        return missing

    def _outcome(self) -> Outcome:
        return Outcome(
            bytes_moved=self._meter.total,
            seconds=time.monotonic() - self._began,
            digests={**self._digests.values(), **self._plan.implied},
            sources=dict(self._meter.by_source),
            notes=list(self._pool.notes),
        )
