# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each byte of the shards goes, and what is hashed to believe it."""

from __future__ import annotations

import hashlib
from typing import Any, Dict, List

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import parse_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.digests import steps
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan import layout as planning
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import BLOCK_BYTES, IN_JOURNAL, Plan
from ansible_collections.gguf.fleet.tests.builders.gguf import Tensor, split_set

SIZES = (100, 33, 1 << 20, 5, 3 << 19)


def shards() -> List[bytes]:
    groups = [
        [Tensor(f"blk.{shard}.{number}", (size + shard,), "I8") for number, size in enumerate(SIZES)]
        for shard in range(3)
    ]
    return split_set(groups, gap=b"\x55")


def lock_of(contents: List[bytes]) -> Dict[str, Any]:
    return {
        "files": [
            {
                "path": f"q/m-{index}.gguf",
                "size_bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "url": f"http://hub/m-{index}.gguf",
            }
            for index, content in enumerate(contents)
        ],
        "merged": {"size_bytes": None, "sha256": None},
    }


def merged_plan(contents: List[bytes], lock: Dict[str, Any]) -> Plan:
    headers = [parse_header(content) for content in contents]
    return planning.plan_merged(lock, "/m.gguf", merge_layout(headers), [header.raw for header in headers])


def digest_of(plan: Plan, number: int, contents: List[bytes]) -> str:
    """A digest computed from its steps, block by block."""
    hasher = hashlib.sha256()
    for block, additions in steps(plan, plan.digests[number].parts):
        file, offset, length = plan.locate(block)
        view = contents[file][offset : offset + length]
        for addition in additions:
            hasher.update(addition if isinstance(addition, bytes) else view[addition[0] : addition[1]])
    return hasher.hexdigest()


def test_every_byte_of_every_shard_has_exactly_one_place() -> None:
    contents = shards()
    plan = merged_plan(contents, lock_of(contents))
    for content, stretches in zip(contents, plan.stretches):
        reached = 0
        for stretch in stretches:
            assert stretch.source_offset == reached
            reached += stretch.length_bytes
        assert reached == len(content)
    kept = [stretch for of_file in plan.stretches for stretch in of_file if stretch.output == IN_JOURNAL]
    assert sum(stretch.length_bytes for stretch in kept) == plan.journal_bytes
    assert len({stretch.dest_offset for stretch in kept}) == len(kept)


def test_the_headers_come_first_among_the_bytes_without_a_place() -> None:
    contents = shards()
    plan = merged_plan(contents, lock_of(contents))
    at = 0
    for raw, stretches in zip(plan.headers, plan.stretches):
        assert stretches[0][:4] == (0, len(raw), IN_JOURNAL, at)
        at += len(raw)


def test_the_digests_see_every_shard_and_the_merged_file_whole() -> None:
    contents = shards()
    plan = merged_plan(contents, lock_of(contents))
    for number, content in enumerate(contents):
        assert digest_of(plan, number, contents) == hashlib.sha256(content).hexdigest()
    merged = bytearray(plan.outputs[0].size_bytes)
    merged[: len(plan.merged_header)] = plan.merged_header
    for content, stretches in zip(contents, plan.stretches):
        for stretch in stretches:
            if stretch.output != IN_JOURNAL:
                end = stretch.source_offset + stretch.length_bytes
                merged[stretch.dest_offset : stretch.dest_offset + stretch.length_bytes] = content[
                    stretch.source_offset : end
                ]
    assert digest_of(plan, 3, contents) == hashlib.sha256(merged).hexdigest()


def test_blocks_count_through_all_files() -> None:
    contents = shards()
    plan = merged_plan(contents, lock_of(contents))
    located = [plan.locate(block) for block in range(plan.block_count)]
    for file, content in enumerate(contents):
        own = [(offset, length) for index, offset, length in located if index == file]
        assert [offset for offset, _length in own] == list(range(0, len(content), BLOCK_BYTES))
        assert sum(length for _offset, length in own) == len(content)


def test_stretches_are_cut_at_both_ends_of_a_range() -> None:
    contents = shards()
    plan = merged_plan(contents, lock_of(contents))
    cut = list(plan.stretches_in(1, 70, len(contents[1]) - 3))
    assert cut[0].source_offset == 70
    assert sum(stretch.length_bytes for stretch in cut) == len(contents[1]) - 73


def test_a_sealed_lock_is_proved_piece_by_piece_and_its_merged_sum_is_believed() -> None:
    contents = shards()
    lock = lock_of(contents)
    piece = 1 << 20
    lock["merged"]["sha256"] = "a" * 64
    lock["seal"] = {
        "piece_bytes": piece,
        "pieces": {
            entry["path"]: [
                hashlib.sha256(content[at : at + piece]).hexdigest() for at in range(0, len(content), piece)
            ]
            for entry, content in zip(lock["files"], contents)
        },
    }
    plan = merged_plan(contents, lock)
    assert plan.implied == {"merged": "a" * 64}
    for number, digest in enumerate(plan.digests):
        assert digest_of(plan, number, contents) == digest.expected


def test_a_seal_with_too_few_sums_is_refused() -> None:
    contents = shards()
    lock = lock_of(contents)
    lock["seal"] = {"piece_bytes": 1 << 20, "pieces": {lock["files"][0]["path"]: ["b" * 64]}}
    with pytest.raises(TransferError, match="Seal the lock again"):
        merged_plan(contents, lock)


def test_a_merged_size_that_the_headers_contradict_is_refused() -> None:
    contents = shards()
    lock = lock_of(contents)
    lock["merged"]["size_bytes"] = 12345
    with pytest.raises(TransferError, match="12,345"):
        merged_plan(contents, lock)


def test_two_files_of_one_name_are_refused_side_by_side() -> None:
    lock = lock_of(shards())
    lock["files"][1]["path"] = "other/m-0.gguf"
    with pytest.raises(TransferError, match="same name"):
        planning.plan_shards(lock, "/models")
