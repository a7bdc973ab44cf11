# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gguf import rehearsal
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError, parse_header, read_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.tests.builders.gguf import (
    shard_name,
    split_set,
    tensors,
)

# Large enough to see that the data is not there.
SHARDS = split_set([tensors(2, prefix=f"blk.{index}", items=1 << 18) for index in range(3)])
HEADERS = [parse_header(content) for content in SHARDS]
NAMES = [shard_name(index, 3) for index in range(3)]
SIZES = [len(content) for content in SHARDS]


@pytest.fixture(name="ledger")
def a_ledger(tmp_path: Path) -> Ledger:
    return Ledger(str(tmp_path / "ledger.json"))


@pytest.fixture(name="dest")
def a_folder(tmp_path: Path) -> str:
    return str(tmp_path / "models" / "rehearsal")


def merged(dest: str) -> list[rehearsal.SparseFile]:
    return rehearsal.as_merged(dest, "model.gguf", HEADERS, merge_layout(HEADERS).size_bytes)


def test_the_merged_file_has_the_models_header_and_length_and_takes_no_disk(dest: str, ledger: Ledger) -> None:
    rehearsal.write(dest, merged(dest), ledger)
    file = Path(dest) / "rehearsal-model.gguf"
    layout = merge_layout(HEADERS)
    assert read_header(str(file)).tensors == layout.tensors
    content = file.read_bytes()
    assert len(content) == layout.size_bytes
    assert content[: len(layout.header)] == layout.header
    assert not any(content[len(layout.header) :])
    assert file.stat().st_blocks * 512 <= len(layout.header) + 8192 < layout.size_bytes


def test_the_shards_have_their_headers_and_lengths_and_names_by_which_engines_find_them(
    dest: str, ledger: Ledger
) -> None:
    rehearsal.write(dest, rehearsal.as_shards(dest, NAMES, HEADERS, SIZES), ledger)
    files = sorted(Path(dest).iterdir())
    assert [file.name for file in files] == [f"rehearsal-model-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert [file.stat().st_size for file in files] == SIZES
    assert [read_header(str(file)).raw for file in files] == [header.raw for header in HEADERS]


def test_nobody_who_looks_for_a_verified_file_finds_a_rehearsal(dest: str, ledger: Ledger) -> None:
    rehearsal.write(dest, merged(dest), ledger)
    path = f"{dest}/rehearsal-model.gguf"
    assert ledger.lookup(path, kind="file") is None
    entry = ledger.lookup(path, kind="rehearsal")
    assert entry is not None
    assert entry.sha256 not in (hashlib.sha256(Path(path).read_bytes()).hexdigest(), None)


def test_a_file_that_is_there_is_left_and_one_of_another_model_is_replaced(dest: str, ledger: Ledger) -> None:
    files = merged(dest)
    rehearsal.write(dest, files, ledger)
    file = Path(files[0].path)
    first = file.stat().st_ino
    rehearsal.write(dest, files, ledger)
    assert file.stat().st_ino == first
    with file.open("r+b") as stream:
        stream.write(b"X")
    assert not files[0].is_there()
    rehearsal.write(dest, files, ledger)
    assert files[0].is_there()


def test_another_layout_in_the_same_folder_replaces_the_first(dest: str, ledger: Ledger) -> None:
    rehearsal.write(dest, merged(dest), ledger)
    rehearsal.write(dest, rehearsal.as_shards(dest, NAMES, HEADERS, SIZES), ledger)
    assert len(list(Path(dest).iterdir())) == 3
    assert len(ledger.entries()) == 3


def test_it_removes_itself_and_what_was_interrupted_without_a_trace(dest: str, ledger: Ledger) -> None:
    rehearsal.write(dest, merged(dest), ledger)
    (Path(dest) / "rehearsal-model.gguf.new").touch()
    rehearsal.remove(dest, rehearsal.check_folder(dest), ledger)
    assert not Path(dest).exists()
    assert ledger.entries() == []


@pytest.mark.parametrize("dest", ["/srv/models", "rehearsal", "/srv/rehearsal/.."])
def test_a_folder_that_could_be_a_models_is_refused(dest: str) -> None:
    with pytest.raises(GgufError, match="mistaken for a model"):
        rehearsal.check_folder(dest)


@pytest.mark.parametrize("strange", ["DeepSeek-R1.gguf", "rehearsal-folder/", "rehearsal-link@"])
def test_a_folder_with_something_else_in_it_is_refused(dest: str, strange: str) -> None:
    Path(dest).mkdir(parents=True)
    path = Path(dest) / strange.rstrip("/@")
    if strange.endswith("/"):
        path.mkdir()
    elif strange.endswith("@"):
        path.symlink_to("/etc/hostname")
    else:
        path.touch()
    with pytest.raises(GgufError, match="is not a rehearsal's"):
        rehearsal.check_folder(dest)


def test_a_folder_that_is_a_link_is_refused(dest: str) -> None:
    Path(dest).parent.mkdir()
    Path(dest).symlink_to("/etc")
    with pytest.raises(GgufError, match="no directory"):
        rehearsal.check_folder(dest)


def test_shards_that_do_not_merge_into_what_the_lock_says_are_refused(dest: str) -> None:
    with pytest.raises(GgufError, match="but the lock says 7 bytes"):
        rehearsal.as_merged(dest, "model.gguf", HEADERS, 7)
