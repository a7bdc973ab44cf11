# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The window of blocks in memory: a short cut, never the only copy."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Iterator

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._transfer.window import Window
from ansible_collections.gguf.fleet.tests.builders.transfer import Laid, laid_out


@pytest.fixture
def laid(tmp_path: Path) -> Iterator[Laid]:
    with laid_out(tmp_path) as found:
        yield found


def bring(laid: Laid, window: Window, block: int) -> None:
    """A block as a worker brings it: on the disk first, then shown."""
    buffer = window.acquire()
    data = laid.bytes_of(block)
    buffer[: len(data)] = data
    laid.write(block)
    window.deliver(block, buffer)


def wipe(laid: Laid, block: int) -> None:
    """Zeros on the disk: what is read back from there is told from what memory kept."""
    file, offset, length = laid.plan.locate(block)
    laid.storage.write(file, offset, memoryview(bytes(length)))


def seen(window: Window, block: int) -> bytes:
    with window.view(block) as view:
        return bytes(view)


def test_more_blocks_than_memory_are_all_seen(laid: Laid) -> None:
    window = laid.window(buffers=2)
    blocks = range(laid.plan.block_count)
    window.expect_reader(blocks)
    for block in blocks:
        assert not window.is_present(block)
        bring(laid, window, block)
    assert [seen(window, block) == laid.bytes_of(block) for block in blocks] == [True] * len(blocks)


def test_when_memory_is_short_the_block_that_is_wanted_last_leaves(laid: Laid) -> None:
    window = laid.window(buffers=2)
    window.expect_reader(range(laid.plan.block_count))
    bring(laid, window, 0)
    bring(laid, window, 3)
    window.release(window.acquire())
    for block in (0, 3):
        wipe(laid, block)
    assert seen(window, 0) == laid.bytes_of(0)
    assert not any(seen(window, 3))


def test_a_block_stays_for_as_many_readers_as_were_announced(laid: Laid) -> None:
    window = laid.window(buffers=3)
    window.expect_reader([1])
    window.expect_reader([1])
    bring(laid, window, 1)
    wipe(laid, 1)
    assert seen(window, 1) == seen(window, 1) == laid.bytes_of(1)
    assert not any(seen(window, 1))


def test_a_block_that_nobody_waits_for_takes_no_memory(laid: Laid) -> None:
    window = laid.window(buffers=1)
    bring(laid, window, 0)
    bring(laid, window, 1)
    assert window.is_present(0)
    assert window.is_present(1)
    assert seen(window, 0) == laid.bytes_of(0)


def test_whoever_needs_a_buffer_waits_for_a_reader_that_has_the_last_one(laid: Laid) -> None:
    window = laid.window(buffers=1)
    window.expect_reader([0])
    bring(laid, window, 0)
    got = threading.Event()

    def acquire() -> None:
        window.acquire()
        got.set()

    waiting = threading.Thread(target=acquire, daemon=True)
    with window.view(0) as view:
        waiting.start()
        assert not got.wait(0.1)
        assert bytes(view) == laid.bytes_of(0)
    assert got.wait(30)


def test_a_lost_block_is_read_to_its_end_and_then_fetched_anew(laid: Laid) -> None:
    window = laid.window(buffers=3)
    window.expect_reader([0, 0])
    bring(laid, window, 0)
    with window.view(0) as view:
        window.lose([0])
        assert not window.is_present(0)
        assert bytes(view) == laid.bytes_of(0)
    wipe(laid, 0)
    assert not any(seen(window, 0))
    window.expect_reader([0])
    bring(laid, window, 0)
    wipe(laid, 0)
    assert window.is_present(0)
    assert seen(window, 0) == laid.bytes_of(0)


def test_what_an_earlier_run_left_on_the_disk_is_present(laid: Laid) -> None:
    laid.write(2)
    laid.journal.note([2], 1)
    window = laid.window(buffers=1)
    assert [window.is_present(block) for block in (1, 2)] == [False, True]
    assert seen(window, 2) == laid.bytes_of(2)
