# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is noted as durable before it is, and whoever writes faster than the disk waits."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Iterator, List

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.durability import (
    UNSYNCED_AT_MOST_BLOCKS,
    Durability,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.files import Storage
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.journal import MISSING, SYNCED, WRITTEN, Journal
from ansible_collections.gguf.fleet.tests.builders.transfer import Laid, laid_out


@pytest.fixture
def laid(tmp_path: Path) -> Iterator[Laid]:
    with laid_out(tmp_path) as found:
        yield found


def refuse(error: BaseException) -> None:
    raise AssertionError("the disk is well") from error


def noted(laid: Laid) -> List[int]:
    """What the journal on the disk says, as the next run reads it."""
    journal = Journal.open(laid.journal.path)
    assert journal is not None
    try:
        return list(journal.states)
    finally:
        journal.close()


def test_a_block_is_noted_as_written_at_once_and_as_durable_when_it_is_synced(laid: Laid) -> None:
    durability = Durability(laid.plan, laid.storage, laid.journal, refuse)
    laid.write(0)
    durability.written(0)
    assert noted(laid) == [WRITTEN, MISSING, MISSING, MISSING, MISSING, MISSING]
    durability.start()
    laid.write(5)
    durability.written(5)
    durability.stop()
    assert noted(laid) == [SYNCED, MISSING, MISSING, MISSING, MISSING, SYNCED]


def test_a_few_blocks_do_not_wait_for_more(laid: Laid) -> None:
    durability = Durability(laid.plan, laid.storage, laid.journal, refuse)
    durability.start()
    durability.written(1)
    ready = threading.Event()
    while not ready.wait(0.05):
        if noted(laid)[1] == SYNCED:
            ready.set()
    durability.stop()


def test_whoever_is_far_ahead_of_the_disk_waits_for_it(laid: Laid) -> None:
    durability = Durability(laid.plan, laid.storage, laid.journal, refuse)
    for number in range(UNSYNCED_AT_MOST_BLOCKS):
        durability.wait_for_room()
        durability.written(number % laid.plan.block_count)
    waiting = threading.Thread(target=durability.wait_for_room, daemon=True)
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    durability.start()
    waiting.join(30)
    assert not waiting.is_alive()
    durability.stop()


def test_a_block_that_turned_out_wrong_is_not_noted_as_durable(laid: Laid) -> None:
    durability = Durability(laid.plan, laid.storage, laid.journal, refuse)
    for block in (0, 1, 2):
        durability.written(block)
    durability.lose(range(1, 3), MISSING)
    durability.start()
    durability.stop()
    assert noted(laid)[:3] == [SYNCED, MISSING, MISSING]


def test_a_disk_that_cannot_sync_is_told_and_holds_nobody(laid: Laid) -> None:
    """A pipe stands for the disk: the kernel refuses to sync it."""
    ends = os.pipe()
    errors: List[BaseException] = []
    told = threading.Event()
    storage = Storage(laid.plan, laid.journal, [ends[1], ends[1]])

    def on_error(error: BaseException) -> None:
        errors.append(error)
        told.set()

    durability = Durability(laid.plan, storage, laid.journal, on_error)
    for number in range(UNSYNCED_AT_MOST_BLOCKS):
        durability.written(number % laid.plan.block_count)
    durability.start()
    assert told.wait(30)
    durability.wait_for_room()
    durability.stop()
    assert isinstance(errors[0], TransferError)
    assert errors[0].reason == "disk-error"
    assert SYNCED not in noted(laid)
    for end in ends:
        os.close(end)
