# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Merges on a file system that is really full: a small tmpfs in a mount namespace of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.builders.gguf import (
    split_set,
    tensors,
    write_shards,
)

CHECKOUT = Path(__file__).resolve().parents[2]
SHARDS = split_set([tensors(4, prefix=name, items=64_000) for name in "abcd"])
MODEL_BYTES = sum(len(shard) for shard in SHARDS)

# What runs in the namespace. It has `merge(**options)`, which returns facts or the error, and the directories.
PREAMBLE = """
import hashlib, json, os, shutil, sys
sys.path.insert(0, sys.argv[1] + "/.collections")
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError
from ansible_collections.gguf.fleet.plugins.module_utils._merge.merge import apply_merge
from ansible_collections.gguf.fleet.plugins.module_utils._merge.plan import MergeRequest, plan_merge
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger

small, outside = sys.argv[2], sys.argv[3]
ledger = Ledger(outside + "/ledger.json")

def merge(source, between=lambda: None, **options):
    first = source + "/model-00001-of-00004.gguf"
    try:
        plan = plan_merge(MergeRequest(first, small + "/merged", **options), ledger)
        between()
        result = apply_merge(plan, ledger, checkpoint_bytes=200_000)
    except GgufError as error:
        return {"error": str(error), "files": sorted(os.listdir(small))}
    return {"sha256": result.sha256, "resumed": result.resumed_bytes, "files": sorted(os.listdir(small))}

def sums(source):
    return {name: hashlib.sha256(open(source + "/" + name, "rb").read()).hexdigest() for name in os.listdir(source)}

"""


def on_a_disk_of(size_bytes: int, script: str, folder: Path) -> Any:
    """What the script prints, run where folder/small is a tmpfs of that size."""
    small, outside = folder / "small", folder / "outside"
    small.mkdir()
    outside.mkdir()
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    mount = f"mount -t tmpfs -o size={size_bytes} tmpfs {small}"
    probe = subprocess.run([*namespace, "sh", "-c", mount], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"this machine allows no tmpfs in a namespace: {probe.stderr.strip()}")
    python = [sys.executable, "-I", "-S", "-c", PREAMBLE + script, str(CHECKOUT), str(small), str(outside), str(folder)]
    run = subprocess.run(
        [*namespace, "sh", "-c", mount + ' && exec "$@"', "sh", *python], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    write_shards(folder, SHARDS)
    return folder


def test_disk_too_small_is_refused_before_a_byte_is_written(shards: Path, tmp_path: Path) -> None:
    script = f"print(json.dumps(merge({str(shards)!r})))"
    outcome = on_a_disk_of(MODEL_BYTES // 2, script, tmp_path)
    assert "the merge needs" in outcome["error"]
    assert outcome["files"] == []


def test_disk_that_fills_up_meanwhile_stops_the_merge_and_room_lets_it_go_on(shards: Path, tmp_path: Path) -> None:
    script = f"""
def fill():
    with open(small + "/other", "wb") as file:
        file.write(bytes({MODEL_BYTES // 2}))

stopped = merge({str(shards)!r}, between=fill)
os.unlink(small + "/other")
print(json.dumps([stopped, merge({str(shards)!r}), hashlib.sha256(open(small + "/merged", "rb").read()).hexdigest()]))
"""
    stopped, done, digest = on_a_disk_of(MODEL_BYTES + 300_000, script, tmp_path)
    assert "became full during the merge; the shards are unharmed" in stopped["error"]
    assert "merged" not in stopped["files"]
    assert done["resumed"] > 0
    assert done["files"] == ["merged"]
    assert done["sha256"] == digest
    assert sorted(path.read_bytes() for path in shards.iterdir()) == sorted(SHARDS)


def test_consume_merges_where_the_model_and_one_shard_fit(shards: Path, tmp_path: Path) -> None:
    script = f"""
shutil.copytree({str(shards)!r}, small + "/shards")
refused = merge(small + "/shards")
done = merge(small + "/shards", consume=True, shard_sha256=sums(small + "/shards"))
print(json.dumps([refused, done, os.listdir(small + "/shards")]))
"""
    room = MODEL_BYTES + max(len(shard) for shard in SHARDS) + 100_000
    refused, done, left = on_a_disk_of(room, script, tmp_path)
    assert "or let the merge consume the shards" in refused["error"]
    assert done["files"] == ["merged", "shards"]
    assert left == []
