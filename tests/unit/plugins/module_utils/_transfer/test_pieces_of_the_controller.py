# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host may ask the controller for, and where the pieces lie that it gets."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import Transient
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.controller import (
    PIECE_AT_MOST_BYTES,
    PieceStream,
    Spool,
    Want,
    wants_in,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import LockedFile, locked_files

NAME = "0123abcd-7"


def files(size_bytes: int = 100) -> tuple[LockedFile, ...]:
    file = {"path": "a.gguf", "size_bytes": size_bytes, "sha256": None, "url": "file:///q/a.gguf", "header_bytes": 10}
    return locked_files({"files": [file]})


def test_a_range_of_a_locked_file_is_sent() -> None:
    assert wants_in(f"{NAME}.want 0 90 10\nnoise\n", files()) == [Want(NAME, 0, 90, 10)]


def test_no_piece_is_larger_than_what_one_fits_in_memory() -> None:
    many = files(2**40)
    assert wants_in(f"{NAME}.want 0 0 {PIECE_AT_MOST_BYTES + 1}", many) == []
    assert len(wants_in(f"{NAME}.want 0 0 {PIECE_AT_MOST_BYTES}", many)) == 1


def test_pieces_come_whole_from_a_directory_that_nobody_else_enters(tmp_path: Path) -> None:
    place = tmp_path / "spool"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    with pytest.raises(PathProblem, match="can be changed by other users"):
        Spool(str(place)).ask(0, 0, 4)
    place.chmod(0o700)
    (place / "left.data").write_bytes(b"of an earlier run")
    stream = PieceStream(Spool(str(place)), 0, 8, 4, threading.Event())
    (want,) = place.iterdir()
    assert want.read_text() == "0 8 4\n" and want.stat().st_mode & 0o777 == 0o600
    want.with_suffix(".data").write_bytes(b"1234")
    view = memoryview(bytearray(8))
    assert (stream.readinto(view), bytes(view[:4]), stream.readinto(view)) == (4, b"1234", 0)
    stream.close()
    assert os.listdir(place) == []


def test_a_piece_of_another_length_and_a_transfer_that_ends_are_told(tmp_path: Path) -> None:
    spool, stopped = Spool(str(tmp_path / "spool")), threading.Event()
    stream = PieceStream(spool, 0, 0, 4, stopped)
    (want,) = Path(spool.path).iterdir()
    want.with_suffix(".data").write_bytes(b"123")
    with pytest.raises(Transient, match="not as long as it has to be"):
        stream.readinto(memoryview(bytearray(4)))
    other = PieceStream(spool, 0, 0, 4, stopped)
    stopped.set()
    with pytest.raises(Transient, match="The transfer ends"):
        other.readinto(memoryview(bytearray(4)))
