# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._reserve import reserve_disk

MIB = 1 << 20


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.write(opened, b"there")
    yield opened
    os.close(opened)


def test_the_disk_is_taken_and_the_file_stays_as_long_as_it_was(file: int) -> None:
    reserve_disk(file, 5, 8 * MIB)
    status = os.fstat(file)
    assert status.st_blocks * 512 >= 8 * MIB
    assert status.st_size == 5
    assert os.pread(file, 10, 0) == b"there"


def test_nothing_is_reserved_behind_the_end_of_what_is_needed(file: int) -> None:
    before = os.fstat(file).st_blocks
    reserve_disk(file, 5, 0)
    reserve_disk(file, 5, -1)
    assert os.fstat(file).st_blocks == before


def test_what_no_file_holds_is_refused(file: int) -> None:
    with pytest.raises(OSError, match="File too large"):
        reserve_disk(file, 1 << 62, 1 << 62)
    assert os.fstat(file).st_size == 5
