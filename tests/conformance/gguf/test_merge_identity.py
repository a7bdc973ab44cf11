# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our merges against those of the real llama-gguf-split, byte for byte."""

from __future__ import annotations

import filecmp
import hashlib
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._merge.merge import MergeResult, apply_merge
from ansible_collections.gguf.fleet.plugins.module_utils._merge.plan import MergeRequest, plan_merge
from ansible_collections.gguf.fleet.tests.builders.gguf import (
    MODEL_KV,
    Tensor,
    gguf,
    shard_name,
    split_kv,
    split_set,
    tensors,
    write_shards,
)
from ansible_collections.gguf.fleet.tests.conformance.gguf.classes import ARRAYS, EMPTY, SCALARS
from ansible_collections.gguf.fleet.tests.fixtures_assets import ProgramInImage, SmolLM2

pytestmark = pytest.mark.docker

NUL_KV: dict[Any, tuple[str, Any]] = {
    b"key\0cut": ("str", b"value\0cut"),
    "plain": ("u8", 1),
    b"key\0again": ("[str]", [b"a\0b", b"\0", b"", b"whole"]),
    "flag": ("bool", 200),
    "flags": ("[bool]", [0, 3, 255]),
}
EVERY_BLOCK = [Tensor(f"{kind}.weight", (256, 3), kind) for kind in ("F32", "F16", "BF16", "Q8_0", "Q4_K", "IQ1_S")]

# What llama-gguf-split accepts.
SETS: dict[str, list[bytes]] = {
    "one-shard": split_set([tensors(3)]),
    "two-shards": split_set([tensors(3, prefix="a"), tensors(2, prefix="b")]),
    "64-shards": split_set([tensors(1 + number % 3, prefix=f"s{number}", items=number + 1) for number in range(64)]),
    "metadata-only-first-shard": split_set([[], tensors(2, prefix="a"), tensors(2, prefix="b")]),
    "shards-without-tensors": split_set([tensors(1, prefix="a"), [], [], tensors(1, prefix="b"), []]),
    "no-tensors": split_set([[], []]),
    "uneven-sizes": split_set(
        [[Tensor("big", (100_003,), "I8")], [Tensor("small", (1,))], [Tensor("c", (77,), "F16")]]
    ),
    "rubbish-between-tensors": split_set([[Tensor("a", (3,)), Tensor("b", (5,))], [Tensor("c", (7,))]], gap=b"\xa5"),
    "every-scalar": split_set([tensors(1)], SCALARS),
    "every-array": split_set([tensors(1)], ARRAYS),
    "empty-arrays": split_set([tensors(1)], EMPTY),
    "cut-at-nul": split_set([[Tensor(b"t\0x"), Tensor("u")]], NUL_KV),
    "many-words": split_set([tensors(1)], {"words": ("[str]", [f"wörd {number}" for number in range(5000)])}),
    "version-2": split_set([tensors(2, prefix="a"), tensors(1, prefix="b")], version=2),
    "names-at-the-limit": split_set([[Tensor("n" * 63)], [Tensor("m" * 63)]], {"k" * 500: ("u8", 1)}),
    "trailing-dimensions": split_set(
        [[Tensor("a", (32, 1)), Tensor("b", (32, 1, 1, 1)), Tensor("c", ()), Tensor("d", (1, 1))]]
    ),
    "inner-dimensions": split_set([[Tensor("a", (1, 32)), Tensor("b", (4, 1, 3)), Tensor("c", (2, 2, 2, 2))]]),
    "empty-tensors": split_set([[Tensor("a", (0,)), Tensor("b", (0, 5)), Tensor("c", (4, 0, 3)), Tensor("d")]]),
    "every-block": split_set([EVERY_BLOCK[:3], EVERY_BLOCK[3:]]),
    "alignment-32-stated": split_set([tensors(2)], {"general.alignment": ("u32", 32)}),
    "sibling-with-own-alignment": [
        gguf({**MODEL_KV, **split_kv(0, 2, 2)}, tensors(1, prefix="a")),
        gguf({"general.alignment": ("u32", 256), **split_kv(1, 2, 2)}, tensors(1, prefix="b"), alignment=256),
    ],
    "keys-as-gguf-py-orders-them": [
        gguf({"split.no": ("u16", 0), "split.count": ("u16", 2), "split.tensors.count": ("i32", 1), **MODEL_KV}),
        gguf({"split.no": ("u16", 1), "split.count": ("u16", 2), "split.tensors.count": ("i32", 1)}, tensors(1)),
    ],
    "no-padding-at-the-end": [shard[:-16] for shard in split_set([[Tensor("a", (4,))], [Tensor("b", (4,))]])],
    "bytes-after-the-end": [shard + b"more" for shard in split_set([tensors(1, prefix="a"), tensors(1, prefix="b")])],
}


def our_merge(first: Path, dest: Path, ledger: Path, **options: Any) -> MergeResult:
    keeper = Ledger(str(ledger))
    return apply_merge(plan_merge(MergeRequest(str(first), str(dest), **options), keeper), keeper)


def assert_same(ours: Path, theirs: Path) -> None:
    assert ours.stat().st_size == theirs.stat().st_size
    assert filecmp.cmp(ours, theirs, shallow=False)


@pytest.fixture(scope="module")
def merged_by_llama_cpp(forky: ProgramInImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each set, with the shards and upstream's merge of them."""
    root = tmp_path_factory.mktemp("sets")
    for name, shards in SETS.items():
        (root / name).mkdir()
        write_shards(root / name, shards)
    script = (
        "for set in */; do first=$(ls $set | head -1);"
        " llama-gguf-split --merge $set$first ${set}upstream >$set.log 2>&1 || { echo $set; cat $set.log; exit 1; };"
        " done"
    )
    run = forky(["sh", "-c", script], cwd=root)
    assert run.returncode == 0, run.stdout + run.stderr
    return root


@pytest.mark.parametrize("name", SETS)
def test_merge_is_that_of_llama_gguf_split(name: str, merged_by_llama_cpp: Path) -> None:
    folder = merged_by_llama_cpp / name
    first = folder / shard_name(0, len(SETS[name]))
    our_merge(first, folder / "ours", folder / "ledger.json")
    assert_same(folder / "ours", folder / "upstream")


def test_merge_of_real_shards_is_that_of_llama_gguf_split(smollm2: SmolLM2, tmp_path: Path) -> None:
    result = our_merge(smollm2.shards[0], tmp_path / "ours", tmp_path / "ledger.json")
    assert_same(tmp_path / "ours", smollm2.merged)
    assert result.sha256 == hashlib.sha256(smollm2.merged.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "options",
    [["--split-max-tensors", "7"], ["--split-max-size", "40M"], ["--no-tensor-first-split"]],
    ids=["by tensors", "by size", "metadata first"],
)
def test_merge_of_other_splits_of_a_real_model_is_the_same(
    options: list[str], smollm2: SmolLM2, forky: ProgramInImage, tmp_path: Path
) -> None:
    split = ["llama-gguf-split", "--split", *options, "/model.gguf", "part"]
    run = forky(split, cwd=tmp_path, mounts={smollm2.whole: "/model.gguf"})
    assert run.returncode == 0, run.stderr
    first = min(tmp_path.glob("part-*.gguf"))
    run = forky(["llama-gguf-split", "--merge", first.name, "upstream"], cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    our_merge(first, tmp_path / "ours", tmp_path / "ledger.json")
    assert_same(tmp_path / "ours", tmp_path / "upstream")


# What llama-gguf-split merges into rubbish, or dies of.
HARMFUL: dict[str, tuple[list[bytes], str]] = {
    "truncated-shard": (
        [shard[:-40] if number == 1 else shard for number, shard in enumerate(SETS["two-shards"])],
        "bytes short",
    ),
    "exchanged-shards": ([SETS["64-shards"][number] for number in (0, 2, 1, *range(3, 64))], "in the place of shard 2"),
    "foreign-shard": (
        [SETS["two-shards"][0], gguf(split_kv(1, 3, 9), tensors(2, prefix="z"))],
        "belongs to another set",
    ),
    "alignment-64": (
        split_set([[Tensor("a", (9,)), Tensor("b", (9,))]], {"general.alignment": ("u32", 64)}, alignment=64),
        "general.alignment is 64",
    ),
    "lost-zero-dimension": (split_set([[Tensor("a", (5, 0)), Tensor("b")]]), "would lose its zero dimension"),
    "tensor-twice": (split_set([tensors(1), tensors(1)]), "is in shard 1 and in shard 2"),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_set_that_upstream_spoils_is_refused_by_name(name: str, forky: ProgramInImage, tmp_path: Path) -> None:
    shards, reason = HARMFUL[name]
    first = Path(write_shards(tmp_path, shards)[0])
    forky(["llama-gguf-split", "--merge", first.name, "upstream"], cwd=tmp_path)
    # it leaves a file, whatever it said about it: without the refusal that file would be served
    assert (tmp_path / "upstream").exists() or name == "tensor-twice"
    with pytest.raises(GgufError) as caught:
        our_merge(first, tmp_path / "ours", tmp_path / "ledger.json")
    assert reason in caught.value.problem
    assert not (tmp_path / "ours").exists()
