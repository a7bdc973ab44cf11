# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What was received becomes durable, a few MiB at a time, and only then is noted as durable in the journal."""

from __future__ import annotations

import threading
from typing import Callable, List, Set, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.files import Storage
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.journal import SYNCED, WRITTEN, Journal
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import Plan

# With what the connections hold in half-received blocks, a power cut costs less than 32 MiB.
UNSYNCED_AT_MOST_BLOCKS = 14
_SYNC_AT_ONCE_BLOCKS = 6
_SYNC_AFTER_SECONDS = 1.0


class Durability:
    """A thread that syncs data, then the journal. Who writes faster than the disk waits here."""

    def __init__(
        self, plan: Plan, storage: Storage, journal: Journal, on_error: Callable[[BaseException], None]
    ) -> None:
        self._plan = plan
        self._storage = storage
        self._journal = journal
        self._on_error = on_error
        self._changed = threading.Condition()
        self._pending: List[int] = []
        self._syncing = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="sync", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_for_room(self) -> None:
        with self._changed:
            while len(self._pending) + self._syncing >= UNSYNCED_AT_MOST_BLOCKS and not self._stopping:
                self._changed.wait()

    def written(self, block: int) -> None:
        """The kernel has the block: that is enough for a killed process, and is noted as such."""
        with self._changed:
            self._journal.note((block,), WRITTEN)
            self._pending.append(block)
            if len(self._pending) >= _SYNC_AT_ONCE_BLOCKS:
                self._changed.notify_all()

    def lose(self, blocks: range, state: int) -> None:
        """Blocks that turned out wrong; they must not be noted as durable any more."""
        with self._changed:
            while self._syncing:
                self._changed.wait()
            self._pending = [block for block in self._pending if block not in blocks]
            self._journal.note(blocks, state)
        self._journal.sync()

    def stop(self) -> None:
        """Sync what is left, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        try:
            while True:
                blocks, last = self._collect()
                if blocks:
                    self._sync(blocks)
                if last:
                    return
        except BaseException as error:  # pylint: disable=broad-except
            with self._changed:
                self._stopping, self._syncing = True, 0
                self._changed.notify_all()
            self._on_error(error)

    def _collect(self) -> Tuple[List[int], bool]:
        with self._changed:
            if len(self._pending) < _SYNC_AT_ONCE_BLOCKS and not self._stopping:
                self._changed.wait(_SYNC_AFTER_SECONDS)
            blocks, self._pending = self._pending, []
            self._syncing = len(blocks)
            return blocks, self._stopping

    def _sync(self, blocks: List[int]) -> None:
        outputs: Set[int] = set()
        for block in blocks:
            outputs.update(self._storage.outputs_of(self._plan.file_of(block)))
        self._storage.sync(sorted(outputs))
        if self._plan.journal_bytes:
            # Bytes that have no place in the output lie in the journal, and count as data.
            self._journal.sync()
        with self._changed:
            self._journal.note(blocks, SYNCED)
        self._journal.sync()
        with self._changed:
            self._syncing = 0
            self._changed.notify_all()
