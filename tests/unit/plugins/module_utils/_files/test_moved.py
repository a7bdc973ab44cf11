# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins beside an inventory: old names are read, and given up once."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._files.moved import OLD_NAMES, move, place
from ansible_collections.gguf.fleet.plugins.module_utils._lock import lock_file


@pytest.mark.parametrize(("new", "old"), OLD_NAMES.items())
def test_the_old_name_holds_until_it_is_moved_once(tmp_path: Path, new: str, old: str) -> None:
    path = str(tmp_path / new)
    assert (place(path), move(path)) == (path, "")
    (tmp_path / old).write_text("pins")
    assert place(path) == str(tmp_path / old)
    assert new in move(path)
    assert (place(path), move(path)) == (path, "")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(new, "pins")]


def test_a_new_file_is_never_replaced_by_an_old_one(tmp_path: Path) -> None:
    (tmp_path / "models.lock.txt").write_text("locks: {new: {}}\n")
    (tmp_path / "models.lock.yml").write_text("locks: {old: {}}\n")
    assert move(str(tmp_path / "models.lock.txt")) == ""
    assert list(lock_file.load(str(tmp_path / "models.lock.txt"))) == ["new"]


def test_locks_are_read_under_the_old_name(tmp_path: Path) -> None:
    (tmp_path / "models.lock.yml").write_text("locks: {old: {}}\n")
    assert list(lock_file.load(str(tmp_path / "models.lock.txt"))) == ["old"]
