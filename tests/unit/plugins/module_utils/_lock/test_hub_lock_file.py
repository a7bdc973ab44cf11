# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""models.lock.txt: deterministic, atomic, readable."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._lock import lock_file
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.tests.builders.listings import a_lock


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = str(tmp_path / "models.lock.txt")
    locks = {"b": a_lock(), "a": a_lock(count=1, quant="1e5")}
    lock_file.save(path, locks)
    assert lock_file.load(path) == locks
    assert lock_file.checked(lock_file.load(path), "b", path) == locks["b"]


def test_the_same_locks_give_the_same_text_in_whatever_order_they_came() -> None:
    one, two = {"a": a_lock(), "b": a_lock(1)}, {"b": a_lock(1), "a": a_lock()}
    assert lock_file.dump(one) == lock_file.dump(two)
    assert lock_file.dump(one).startswith("---\n#")
    assert "&id" not in lock_file.dump({"a": a_lock(), "b": a_lock()})


def test_there_are_no_locks_in_a_file_that_is_not_there_or_empty(tmp_path: Path) -> None:
    assert lock_file.load(str(tmp_path / "none.yml")) == {}
    (tmp_path / "empty.yml").write_text("---\n")
    assert lock_file.load(str(tmp_path / "empty.yml")) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2\nb: 3\n", "is not YAML in line"),
        ("- 1\n", "not a lock file"),
        ("locks: 3\n", "not a lock file"),
        ("a: !!python/object/apply:os.system ['true']\n", "is not YAML"),
        ("locks: \xff", "cannot be read"),
    ],
)
def test_a_file_that_is_no_lock_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "models.lock.txt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(HubProblem, match=message) as error:
        lock_file.load(str(path))
    assert str(path) in error.value.problem


NINE_LEVELS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{this}: &{this} [{', '.join(['*' + before] * 9)}]\n" for before, this in zip("abcdefgh", "bcdefghi")
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NINE_LEVELS + "locks: *i\n", "an anchor or an alias in line 1"),
        ("locks:\n  a: &x {}\n", "an anchor or an alias in line 2"),
        ("locks: &x {a: *x}\n", "an anchor or an alias"),
        ("locks: " + "[" * 500 + "]" * 500, "nested more than"),
        ("locks: {a: " + "9" * 50_000 + "}", "is not YAML"),
        ("locks: {a: 2026-99-99}", "is not YAML"),
    ],
    ids=["a billion", "one anchor", "a loop", "deep", "a long number", "no date"],
)
def test_a_text_that_grows_or_breaks_its_reader_is_refused_before_it_does(text: str, message: str) -> None:
    with pytest.raises(HubProblem, match=message):
        lock_file.parse(text, "models.lock.txt")


def test_a_file_that_is_no_lock_files_size_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "models.lock.txt"
    with path.open("wb") as stream:
        stream.truncate(lock_file.MAX_BYTES + 1)
    with pytest.raises(HubProblem, match="cannot be read"):
        lock_file.load(str(path))


def test_a_bad_lock_is_named_with_its_file() -> None:
    with pytest.raises(HubProblem, match=r"r1 in /inv/models.lock.txt: The lock has the version 9"):
        lock_file.checked({"r1": a_lock(lock_version=9)}, "r1", "/inv/models.lock.txt")


def test_writing_keeps_the_mode_and_follows_a_link_and_leaves_nothing_beside(tmp_path: Path) -> None:
    real = tmp_path / "real" / "models.lock.txt"
    real.parent.mkdir()
    real.write_text("---\n")
    real.chmod(0o600)
    link = tmp_path / "models.lock.txt"
    link.symlink_to(real)
    lock_file.save(str(link), {"a": a_lock()})
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in real.parent.iterdir()] == ["models.lock.txt"]
    assert lock_file.load(str(real)) == {"a": a_lock()}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HubProblem, match=r"cannot be written: No such file"):
        lock_file.save(str(tmp_path / "none" / "models.lock.txt"), {})
    with pytest.raises(HubProblem, match="cannot be used"), lock_file.changing(str(tmp_path / "none" / "x.yml")):
        pass


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "models.lock.txt"
    lock_file.save(str(path), {"a": a_lock()})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HubProblem, match="No space left"):
        lock_file.save(str(path), {"b": a_lock()})
    assert lock_file.load(str(path)) == {"a": a_lock()}
    assert [entry.name for entry in tmp_path.iterdir()] == ["models.lock.txt"]


def test_two_runs_at_once_lose_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "models.lock.txt")

    def add(name: str) -> None:
        with lock_file.changing(path):
            lock_file.save(path, {**lock_file.load(path), name: a_lock(1)})

    threads = [threading.Thread(target=add, args=(f"m{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(lock_file.load(path)) == [f"m{number}" for number in range(8)]


def test_a_diff_counts_piece_sums_instead_of_showing_them() -> None:
    lock = a_lock()
    pieces = {file["path"]: [f"{number:064x}" for number in range(500)] for file in lock["files"]}
    lock["seal"] = {"piece_bytes": 1 << 20, "pieces": pieces}
    text = lock_file.shown({"a": lock, "broken": 3})
    assert "500 checksums, the last one 0" in text
    assert len(text) < 4000
    assert lock_file.shown({}) == ""
