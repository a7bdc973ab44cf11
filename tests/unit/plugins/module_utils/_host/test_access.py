# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._host.access import closed_directory, closed_to


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that others may enter; pytest's own is closed to them."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "kept_out_by"),
    [(0o755, 0o444, None), (0o755, 0o440, "inner/m.gguf"), (0o700, 0o444, "inner"), (0o750, 0o400, "inner")],
)
def test_what_keeps_a_user_out_of_a_file_is_named(
    folder: Path, folder_mode: int, file_mode: int, kept_out_by: str | None
) -> None:
    inner = folder / "inner"
    inner.mkdir()
    file = inner / "m.gguf"
    file.write_bytes(b"x")
    file.chmod(file_mode)
    inner.chmod(folder_mode)
    stranger = inner.stat().st_uid + 4321
    assert closed_directory(str(file), stranger, stranger, last=stat.S_IROTH) == (
        str(folder / kept_out_by) if kept_out_by else None
    )
    assert closed_directory(str(file), 0, 0) is None


def test_the_users_own_class_decides_before_the_others(folder: Path) -> None:
    file = folder / "m.gguf"
    file.write_bytes(b"x")
    file.chmod(0o044)
    status = file.stat()
    if status.st_uid == 0:
        os.chown(file, 4321, 4321)
    assert closed_directory(str(file), file.stat().st_uid, 1, last=stat.S_IROTH) == str(file)


def test_a_directory_is_walked_and_what_is_not_there_yet_keeps_nobody_out(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir(mode=0o711)
    assert closed_to(str(inner / "later"), "nobody") is None
    inner.chmod(0o700)
    assert closed_to(str(inner / "later"), "nobody") == str(inner)
    assert closed_to(str(inner), "root") is None
    assert closed_to(str(inner), "no-such-user") is None
