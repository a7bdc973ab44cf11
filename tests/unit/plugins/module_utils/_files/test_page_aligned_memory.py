# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the blocks begin in memory that the kernel copies into."""

from __future__ import annotations

import ctypes
import mmap

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._files.hashing import Blocks
from ansible_collections.gguf.fleet.plugins.module_utils._files.memory import page_aligned


def begins_with_a_page(memory: memoryview) -> bool:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory)) % mmap.PAGESIZE == 0


@pytest.mark.parametrize("length_bytes", [1, mmap.PAGESIZE + 1, 1 << 20])
def test_memory_begins_with_a_page_and_holds_zeros(length_bytes: int) -> None:
    memory = page_aligned(length_bytes)
    assert begins_with_a_page(memory)
    assert memory == bytes(length_bytes) and not memory.readonly


def test_every_block_for_the_hashes_begins_with_a_page() -> None:
    blocks = Blocks(count=3)
    assert all(begins_with_a_page(blocks.take()) for _number in range(3))
