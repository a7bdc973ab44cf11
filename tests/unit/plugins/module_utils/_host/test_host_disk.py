# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Room on a disk: all who ask count the same bytes, and none counts what is reserved for root."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._host.disk import existing_directory, free_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.store import Store
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.look import disk_of
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.files import check_room
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import Output

BLOCK = 4096
FREE = 100 * BLOCK


class Reserving:
    """A file system that keeps as much for root as it leaves for others."""

    f_frsize = BLOCK
    f_bavail = 100
    f_bfree = 200
    f_flag = 0


@pytest.fixture
def reserving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda place: Reserving)
    monkeypatch.setattr(os, "fstatvfs", lambda place: Reserving)


def room_of_store(place: Path) -> int:
    (place / "blobs").mkdir()
    with Store(str(place)) as store:
        return store.free_bytes()


@pytest.mark.parametrize(
    "asked",
    [lambda place: free_bytes(str(place)), lambda place: disk_of(str(place)).free_bytes, room_of_store],
    ids=["whoever asks", "preflight", "an import"],
)
@pytest.mark.usefixtures("reserving")
def test_what_is_reserved_for_root_is_not_counted(asked: Callable[[Path], int], tmp_path: Path) -> None:
    assert asked(tmp_path) == FREE


@pytest.mark.usefixtures("reserving")
def test_a_download_leaves_what_is_reserved_for_root_alone(tmp_path: Path) -> None:
    def output(size_bytes: int) -> Output:
        return Output(str(tmp_path / "m.gguf"), size_bytes, None)

    assert check_room([output(FREE)]) == FREE
    with pytest.raises(TransferError, match=f"{FREE:,} bytes"):
        check_room([output(FREE + 1)])


def test_an_open_directory_has_the_room_of_its_file_system(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        # Others write there meanwhile: the same number twice cannot be expected, the same file system can.
        assert free_bytes(handle) == pytest.approx(free_bytes(str(tmp_path)), rel=0.2)
    finally:
        os.close(handle)


def test_a_directory_that_is_not_there_yet_counts_as_the_one_above_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").touch()
    above = os.path.realpath(tmp_path)
    assert existing_directory(str(tmp_path / "link/a/b")) == f"{above}/real"
    assert existing_directory(str(tmp_path / "file/a")) == above
    assert existing_directory("/") == "/"
