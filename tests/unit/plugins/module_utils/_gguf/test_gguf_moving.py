# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How ranges get from one file to the other, by where they lie in them."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import random
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._files.hashing import HashThread
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError
from ansible_collections.gguf.fleet.plugins.module_utils._merge import moving

CONTENT = random.Random(7).randbytes(300_000)


class Files:
    def __init__(self, folder: Path) -> None:
        self.source_path = folder / "source"
        self.source_path.write_bytes(CONTENT)
        self.source = os.open(self.source_path, os.O_RDONLY)
        self.dest_path = folder / "dest"
        self.dest = os.open(self.dest_path, os.O_RDWR | os.O_CREAT)

    def copy(self, source_offset: int, dest_offset: int, length_bytes: int) -> bytes:
        moving.Copier().copy(self.source, self.dest, source_offset, dest_offset, length_bytes)
        return self.dest_path.read_bytes()[dest_offset:]

    def hashed(self, source_offset: int, dest_offset: int, length_bytes: int) -> tuple[bytes, list[str]]:
        """What a copy that two hashes look at writes, and their digests."""
        hashes = [HashThread(), HashThread()]
        try:
            moving.Copier().copy(self.source, self.dest, source_offset, dest_offset, length_bytes, hashes=hashes)
            return self.dest_path.read_bytes()[dest_offset:], [one.digest() for one in hashes]
        finally:
            for one in hashes:
                one.close()


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    both = Files(tmp_path)
    yield both
    os.close(both.source)
    os.close(both.dest)


@pytest.fixture
def ranges_copied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each copy_file_range."""
    copied = []
    real = os.copy_file_range

    def counted(*args: Any) -> int:
        moved = real(*args)
        copied.append(moved)
        return moved

    monkeypatch.setattr(os, "copy_file_range", counted)
    return copied


def on_block_device(monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    monkeypatch.setattr(moving, "_on_block_device", lambda _file: answer)


def mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies go through a mapping, whatever file system the tests run on."""
    on_block_device(monkeypatch, True)
    monkeypatch.setattr(moving, "_in_page_cache", lambda _file, _offset: True)


def no_file_is_mapped(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Mapping a file raises the error; memory of no file can be had as ever."""
    real = mmap.mmap

    def refuse(file: int, *more: Any, **options: Any) -> mmap.mmap:
        if file != -1:
            raise error
        return real(file, *more, **options)

    monkeypatch.setattr(moving.mmap, "mmap", refuse)


@pytest.mark.parametrize("source_offset,dest_offset", [(0, 0), (100, 100 + 2 * mmap.PAGESIZE)])
def test_places_alike_in_their_blocks_are_left_to_the_file_system(
    files: Files, ranges_copied: list[int], monkeypatch: pytest.MonkeyPatch, source_offset: int, dest_offset: int
) -> None:
    on_block_device(monkeypatch, True)
    assert files.copy(source_offset, dest_offset, 200_000) == CONTENT[source_offset : source_offset + 200_000]
    assert sum(ranges_copied) == 200_000


@pytest.mark.parametrize("source_offset", [0, 96, mmap.PAGESIZE - 32, mmap.PAGESIZE + 64])
def test_places_that_differ_are_written_from_the_mapped_source(
    files: Files, ranges_copied: list[int], monkeypatch: pytest.MonkeyPatch, source_offset: int
) -> None:
    def read(*_args: Any) -> int:
        raise AssertionError("the mapping was left for a buffer")

    mapped(monkeypatch)
    monkeypatch.setattr(moving.Copier, "_write_read", read)
    monkeypatch.setattr(moving, "WINDOW_BYTES", 70_000)
    assert files.copy(source_offset, source_offset + 32, 250_000) == CONTENT[source_offset : source_offset + 250_000]
    assert ranges_copied == []


def test_bytes_that_are_still_on_disk_are_read_and_not_mapped(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.preadv

    def on_disk(file: int, buffers: Any, offset: int, flags: int = 0) -> int:
        if flags & os.RWF_NOWAIT:
            raise BlockingIOError
        return real(file, buffers, offset, flags)

    on_block_device(monkeypatch, True)
    monkeypatch.setattr(os, "preadv", on_disk)
    no_file_is_mapped(monkeypatch, AssertionError("bytes on disk were mapped"))
    monkeypatch.setattr(moving, "BUFFER_BYTES", 70_000)
    assert files.copy(96, 0, 250_000) == CONTENT[96:250_096]


def test_a_network_file_system_may_copy_on_its_server_wherever_the_places_are(
    files: Files, ranges_copied: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_block_device(monkeypatch, False)
    assert files.copy(96, 0, 200_000) == CONTENT[96:200_096]
    assert sum(ranges_copied) == 200_000


@pytest.mark.parametrize("block_device", [True, False])
@pytest.mark.parametrize("source_offset", [0, 96])
def test_hashes_get_the_very_bytes_that_are_written(
    files: Files, ranges_copied: list[int], monkeypatch: pytest.MonkeyPatch, block_device: bool, source_offset: int
) -> None:
    """Read once where they go through memory; read back where the kernel copied them."""
    on_block_device(monkeypatch, block_device)
    monkeypatch.setattr(moving, "BUFFER_BYTES", 70_000)
    wanted = CONTENT[source_offset : source_offset + 250_000]
    assert files.hashed(source_offset, 0, 250_000) == (wanted, [hashlib.sha256(wanted).hexdigest()] * 2)
    assert sum(ranges_copied) == (0 if block_device and source_offset else 250_000)


@pytest.mark.parametrize("number", [errno.ENODEV, errno.EACCES, errno.ENOMEM])
def test_a_source_that_cannot_be_mapped_goes_through_memory(
    files: Files, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    mapped(monkeypatch)
    no_file_is_mapped(monkeypatch, OSError(number, os.strerror(number)))
    assert files.copy(96, 0, 200_000) == CONTENT[96:200_096]


@pytest.mark.parametrize("left_bytes", [0, 96, 50_000])
@pytest.mark.parametrize("block_device", [True, False])
def test_a_source_that_became_shorter_is_an_error_and_no_crash(
    files: Files, monkeypatch: pytest.MonkeyPatch, left_bytes: int, block_device: bool
) -> None:
    on_block_device(monkeypatch, block_device)
    os.truncate(files.source_path, left_bytes)
    for copy in (files.copy, files.hashed):
        with pytest.raises(GgufError, match=r"a shard became shorter than 200,096 bytes"):
            copy(96, 0, 200_000)


def test_a_source_that_becomes_shorter_while_it_is_mapped_is_an_error_and_no_crash(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite

    def shrinking(dest: int, data: Any, offset: int) -> int:
        os.truncate(files.source_path, 50_000)
        return real(dest, data, offset)

    mapped(monkeypatch)
    monkeypatch.setattr(os, "pwrite", shrinking)
    with pytest.raises(GgufError, match="a shard became shorter"):
        files.copy(96, 0, 200_000)


def test_a_full_disk_is_told_as_such(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    on_block_device(monkeypatch, True)
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        files.copy(96, 0, 200_000)
