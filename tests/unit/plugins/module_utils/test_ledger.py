# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import threading

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger, LedgerError


@pytest.fixture
def ledger(tmp_path):
    return Ledger(str(tmp_path / "state" / "ledger.json"))


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"content")
    return path


def test_recorded_file_is_found_with_its_sum_and_notes(ledger, model):
    ledger.record(str(model), sha256="ab" * 32, kind="file", repo="unsloth/x", tail_padding_bytes=4)
    entry = Ledger(ledger.path).lookup(str(model))
    assert entry is not None
    assert entry.sha256 == "ab" * 32
    assert entry.size_bytes == 7
    assert dict(entry.notes) == {"repo": "unsloth/x", "tail_padding_bytes": 4}


def test_unknown_file_and_missing_ledger_are_no_error(ledger, model):
    assert ledger.lookup(str(model)) is None
    assert ledger.entries() == []
    assert ledger.forget(str(model)) is False
    assert not os.path.exists(ledger.path)


def replaced(path):
    other = path.with_name("other")
    other.write_bytes(b"content")
    os.replace(other, path)


@pytest.mark.parametrize(
    "change",
    [replaced, lambda path: path.write_bytes(b"longer content"), lambda path: path.unlink()],
    ids=["another inode", "another size", "gone"],
)
def test_entry_counts_no_more_when_the_file_is_another(ledger, model, change):
    ledger.record(str(model), sha256="ab" * 32, kind="file")
    change(model)
    assert ledger.lookup(str(model)) is None
    assert len(ledger.entries("file")) == 1


def test_touched_file_is_still_the_same(ledger, model):
    ledger.record(str(model), sha256="ab" * 32, kind="file")
    os.utime(model, (1, 1))
    assert ledger.lookup(str(model)) is not None


def test_entries_are_chosen_by_kind_and_notes(ledger, tmp_path):
    for name, kind, repo in (("a", "file", "x"), ("b", "blob", "x"), ("c", "file", "y")):
        (tmp_path / name).write_bytes(b"")
        ledger.record(str(tmp_path / name), sha256=None, kind=kind, repo=repo)
    names = [os.path.basename(entry.path) for entry in ledger.entries("file", repo="x")]
    assert names == ["a"]
    assert ledger.lookup(str(tmp_path / "b"), kind="file") is None


def test_forgotten_entry_is_gone(ledger, model):
    ledger.record(str(model), sha256=None, kind="file")
    assert ledger.forget(str(model)) is True
    assert ledger.entries() == []


def test_directory_stays_known_while_its_content_changes(ledger, tmp_path):
    release = tmp_path / "release"
    release.mkdir()
    ledger.record(str(release), sha256=None, kind="release", version="0.5.7")
    for number in range(300):
        (release / f"file-with-a-long-name-{number}").write_bytes(b"")
    assert ledger.lookup(str(release), kind="release") is not None


def test_concurrent_records_are_all_kept(ledger, tmp_path):
    paths = [tmp_path / f"m{number}" for number in range(16)]
    for path in paths:
        path.write_bytes(b"")

    def record(path):
        Ledger(ledger.path).record(str(path), sha256=None, kind="file")

    threads = [threading.Thread(target=record, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.entries()) == 16


def test_ledger_that_others_can_write_is_not_believed(ledger, model):
    ledger.record(str(model), sha256="ab" * 32, kind="file")
    os.chmod(ledger.path, 0o666)
    with pytest.raises(LedgerError, match="cannot be trusted"):
        ledger.lookup(str(model))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"ledger_version": 1, "entries": {"/x": {}}}'])
def test_damaged_ledger_is_named_with_a_remedy(ledger, model, content):
    ledger.record(str(model), sha256=None, kind="file")
    with open(ledger.path, "w", encoding="utf-8") as file:
        file.write(content)
    with pytest.raises(LedgerError, match="is damaged"):
        ledger.lookup(str(model))


def test_ledger_of_a_newer_version_is_left_alone(ledger, model):
    ledger.record(str(model), sha256=None, kind="file")
    with open(ledger.path, "w", encoding="utf-8") as file:
        json.dump({"ledger_version": 2, "entries": {}}, file)
    with pytest.raises(LedgerError, match="version 2"):
        ledger.record(str(model), sha256=None, kind="file")


def test_path_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("GGUF_FLEET_LEDGER", str(tmp_path / "here.json"))
    assert Ledger().path == str(tmp_path / "here.json")
