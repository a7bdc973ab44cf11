# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules gguf_merge and gguf_info, run for real: checked, run, checked again, run again, removed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.gguf.fleet.tests.builders.gguf import (
    Tensor,
    split_set,
    tensors,
    write_shards,
)

Module = Callable[..., dict[str, Any]]
SHARDS = split_set([tensors(3, prefix="a"), [Tensor("odd", (9,))]])


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "shards"
    folder.mkdir()
    return [Path(path) for path in write_shards(folder, SHARDS)]


@pytest.fixture
def merge(run_module: Module, shards: list[Path], tmp_path: Path) -> Module:
    def run(check: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {"src": str(shards[0]), "dest": str(tmp_path / "merged.gguf"), **options}
        ledger = {"GGUF_FLEET_LEDGER": str(tmp_path / "ledger.json")}
        return run_module("gguf_merge", arguments, environment=ledger, check=check)

    return run


def test_check_run_check_run(merge: Module, tmp_path: Path) -> None:
    dest = tmp_path / "merged.gguf"
    planned = merge(check=True)
    assert (planned["rc"], planned["changed"], dest.exists()) == (0, True, False)
    done = merge()
    digest = hashlib.sha256(dest.read_bytes()).hexdigest()
    assert (done["changed"], done["sha256"], done["path"]) == (True, digest, str(dest))
    assert done["actions"] == planned["actions"]
    assert done["diff"] == planned["diff"]
    assert (done["shards"], done["tensors"], done["tail_padding_bytes"]) == (2, 4, 28)
    assert planned["size_bytes"] == done["size_bytes"] == dest.stat().st_size
    for again in (merge(check=True), merge()):
        assert (again["changed"], again["actions"], again["sha256"]) == (False, [], digest)
        assert (again["shards"], again["tensors"], again["tail_padding_bytes"]) == (2, 4, 28)


def test_absent_check_run_check_run(merge: Module, tmp_path: Path) -> None:
    merge()
    dest = tmp_path / "merged.gguf"
    planned = merge(check=True, state="absent")
    assert (planned["changed"], dest.exists()) == (True, True)
    done = merge(state="absent")
    assert (done["changed"], done["actions"], dest.exists()) == (True, planned["actions"], False)
    assert not merge(check=True, state="absent")["changed"]
    assert not merge(state="absent")["changed"]


def test_sums_come_from_options_and_shards_go(merge: Module, shards: list[Path]) -> None:
    digests = {path.name: "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest() for path in shards}
    done = merge(consume=True, shard_checksums=digests)
    assert done["removed"] == [str(path) for path in shards]
    assert done["kept"] == []
    assert not merge(consume=True, shard_checksums=digests)["changed"]


def test_sums_of_a_lock_count(merge: Module, shards: list[Path]) -> None:
    files = [
        {
            "path": f"folder/{path.name}",
            "size_bytes": path.stat().st_size,
            "sha256": "0" * 64,
            "url": f"http://127.0.0.1/{path.name}",
            "header_bytes": 100,
        }
        for path in shards
    ]
    lock = {
        "lock_version": 1,
        "hub": "modelscope",
        "endpoint": "http://127.0.0.1",
        "repo": "lab/model",
        "revision": "master",
        "commit": None,
        "quant": "F32",
        "files": files,
        "gguf": {},
        "merged": {"size_bytes": 1, "sha256": None},
    }
    failed = merge(lock=lock)
    assert failed["rc"] == 1
    assert f"{shards[0]} has sha256" in failed["msg"]


FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "checksum that is none": ({"checksum": "md5:1234"}, "checksum is not a sha256"),
    "wrong checksum": ({"checksum": "0" * 64}, "the merge has sha256"),
    "not a lock": ({"lock": {"files": []}}, "lock"),
    "consume without checksums": ({"consume": True}, "Give a lock or shard_checksums"),
    "no directory": ({"dest": "/nowhere/at/all/merged.gguf"}, "the directory /nowhere/at/all does not exist"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failure_says_what_and_how_to_go_on(name: str, merge: Module, tmp_path: Path) -> None:
    options, reason = FAILURES[name]
    failed = merge(**options)
    assert failed["rc"] == 1
    assert reason in failed["msg"]
    # a merge that began has asked the ledger whether it can be written
    assert set(os.listdir(tmp_path)) - {"ledger.json.lock"} == {"shards"}


def test_info_of_shards_and_of_their_merge(
    run_module: Module, merge: Module, shards: list[Path], tmp_path: Path
) -> None:
    merge()
    before = run_module("gguf_info", {"path": str(shards[0].parent)})
    after = run_module("gguf_info", {"path": str(tmp_path / "merged.gguf"), "arrays": ["tokenizer.ggml.tokens"]})
    assert before["changed"] is after["changed"] is False
    for fact in ("architecture", "tensors", "tensor_bytes", "parameter_count", "complete"):
        assert before["gguf"][fact] == after["gguf"][fact]
    assert (before["gguf"]["split"]["count"], after["gguf"]["split"]["count"]) == (2, 0)
    assert after["gguf"]["arrays"] == {"tokenizer.ggml.tokens": ["<s>", "a", "b"]}


@pytest.mark.parametrize("content", [None, b"<html>"], ids=["missing", "web page"])
def test_info_of_what_is_no_model_names_the_file(run_module: Module, tmp_path: Path, content: Any) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    failed = run_module("gguf_info", {"path": str(path)})
    assert failed["rc"] == 1
    assert failed["msg"].startswith(str(path))
