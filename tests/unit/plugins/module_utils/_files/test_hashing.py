# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checksums on threads of their own: of the right bytes, whoever else reads them, and whatever comes in between."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._files.hashing import Blocks, HashThread

CONTENT = os.urandom(3000)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def marked() -> Iterator[HashThread]:
    one = HashThread(mark_bytes=1000)
    yield one
    one.close()


@pytest.mark.parametrize("step", [1, 300, 1000, 2500])
def test_a_checksum_is_kept_at_every_mark_wherever_the_pieces_end(marked: HashThread, step: int) -> None:
    for start in range(0, 2500, step):
        marked.give(CONTENT[start : min(start + step, 2500)])
    assert marked.digest_at(1000) == sha256(CONTENT[:1000])
    assert marked.digest_at(2000) == sha256(CONTENT[:2000])
    assert marked.digest() == sha256(CONTENT[:2500])
    assert marked.position == 2500


def test_a_hash_goes_on_from_a_state(marked: HashThread) -> None:
    begun = hashlib.sha256(CONTENT[:1500])
    one = HashThread(start=1500, hasher=begun, mark_bytes=1000)
    one.give(CONTENT[1500:])
    one.close()
    assert one.digest_at(2000) == sha256(CONTENT[:2000])
    assert begun.hexdigest() == sha256(CONTENT)


def test_who_waits_for_a_mark_learns_that_the_hash_was_closed(marked: HashThread) -> None:
    found: list[str] = []

    def wait() -> None:
        try:
            marked.digest_at(1000)
        except RuntimeError as error:
            found.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    marked.give(CONTENT[:999])
    marked.close()
    waiting.join(10)
    assert found == ["the hash was closed before it was complete"]


class Broken:
    """A hasher that fails."""

    def update(self, _data: memoryview) -> None:
        raise ArithmeticError


def test_the_error_of_a_hash_reaches_who_asks_and_holds_nobody_up() -> None:
    broken, seen = HashThread(hasher=Broken(), mark_bytes=1000), threading.Event()
    broken.give(CONTENT, seen.set)
    assert seen.wait(10)
    for ask in (broken.digest, lambda: broken.digest_at(1000)):
        with pytest.raises(ArithmeticError):
            ask()
    broken.close()


def test_a_block_is_used_again_only_when_every_hash_has_seen_it() -> None:
    """The slow one is held back until the quick one has seen all that there was memory for."""
    blocks, slow, quick = Blocks(count=2, block_bytes=1000), HashThread(), HashThread()
    held, taken = threading.Event(), threading.Event()
    slow.give(b"", held.wait)
    for number in range(2):
        block = blocks.take()
        block[:] = CONTENT[number * 1000 : number * 1000 + 1000]
        blocks.give(block, 1000, [slow, quick])
    assert quick.digest() == sha256(CONTENT[:2000])

    def take_third() -> None:
        third = blocks.take()
        third[:] = CONTENT[2000:]
        taken.set()
        blocks.give(third, 1000, [slow, quick])

    taking = threading.Thread(target=take_third)
    taking.start()
    assert not taken.wait(0.05)
    held.set()
    taking.join(10)
    assert [one.digest() for one in (slow, quick)] == [sha256(CONTENT)] * 2
    slow.close()
    quick.close()
