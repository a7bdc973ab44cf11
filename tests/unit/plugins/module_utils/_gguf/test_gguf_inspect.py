# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.inspect import inspect
from ansible_collections.gguf.fleet.tests.builders.gguf import (
    MODEL_KV,
    gguf,
    split_set,
    tensors,
    write_shards,
)


@pytest.fixture
def shards(tmp_path: Path) -> list[str]:
    return write_shards(tmp_path, split_set([tensors(1, prefix="a"), tensors(2, prefix="b"), tensors(1, prefix="c")]))


def test_directory_of_shards_is_one_whole_model(shards: list[str], tmp_path: Path) -> None:
    facts = inspect(str(tmp_path))
    assert facts["complete"]
    assert facts["incomplete_because"] is None
    assert [file["path"] for file in facts["files"]] == shards
    assert [file["tensors"] for file in facts["files"]] == [1, 2, 1]
    assert facts["tensors"] == 4


def test_any_shard_leads_to_its_set(shards: list[str], tmp_path: Path) -> None:
    assert inspect(shards[2]) == inspect(str(tmp_path)) == inspect(shards[0])


def test_missing_shard_is_a_fact_with_its_name(shards: list[str]) -> None:
    Path(shards[1]).unlink()
    facts = inspect(shards[0])
    assert not facts["complete"]
    assert facts["incomplete_because"].startswith("1 of 3 shards are missing")
    assert "model-00002-of-00003.gguf" in facts["incomplete_because"]


def test_renamed_shards_are_a_fact(shards: list[str], tmp_path: Path) -> None:
    spare = tmp_path / "spare"
    Path(shards[1]).rename(spare)
    Path(shards[2]).rename(shards[1])
    spare.rename(shards[2])
    assert inspect(shards[0])["incomplete_because"] == "in the place of shard 2 is shard 3 (split.no is 2)."


def test_shard_under_another_name_is_not_a_whole_model(shards: list[str], tmp_path: Path) -> None:
    other = tmp_path / "part.gguf"
    Path(shards[1]).rename(other)
    facts = inspect(str(other))
    assert not facts["complete"]
    assert facts["split"] == {"count": 3, "index": 1, "tensors": 4}
    assert facts["incomplete_because"] == "shard 1 belongs to a set of 3 shards, but there are 1."


def test_single_file_is_a_whole_model(tmp_path: Path) -> None:
    (tmp_path / "one.gguf").write_bytes(gguf(MODEL_KV, tensors(2)))
    assert inspect(str(tmp_path))["complete"]


def test_truncated_shard_is_an_error_that_names_it(shards: list[str]) -> None:
    path = Path(shards[1])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(GgufError, match=r"model-00002-of-00003\.gguf: the file is 1 bytes short"):
        inspect(shards[0])


def test_directory_with_two_models_asks_for_one(shards: list[str], tmp_path: Path) -> None:
    (tmp_path / "other.gguf").write_bytes(gguf(MODEL_KV, tensors(2)))
    with pytest.raises(GgufError, match="holds 2 models"):
        inspect(str(tmp_path))


def test_directory_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(GgufError, match="holds no GGUF file"):
        inspect(str(tmp_path))


def test_arrays_come_only_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "one.gguf"
    path.write_bytes(gguf(MODEL_KV, tensors(2)))
    assert inspect(str(path))["arrays"] == {}
    assert inspect(str(path), ["tokenizer.ggml.tokens", "none"])["arrays"] == {
        "tokenizer.ggml.tokens": ["<s>", "a", "b"],
        "none": None,
    }


def test_metadata_is_valid_json_whatever_the_file_says(tmp_path: Path) -> None:
    kv: dict[Any, tuple[str, Any]] = {
        "a": ("f32", float("nan")),
        "b": ("f64", float("inf")),
        b"\xff\0": ("str", b"\xfe\x1b"),
        "c": ("bool", 1),
    }
    path = tmp_path / "one.gguf"
    path.write_bytes(gguf(kv, tensors(1)))
    facts = inspect(str(path))
    assert json.loads(json.dumps(facts, allow_nan=False).encode("utf-8")) == facts
    assert facts["metadata"]["c"] is True
