# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""gguf_seal over files that were downloaded, with their lock from the hub double."""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import parse_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.plugins.module_utils._http.client import HttpClient
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock
from ansible_collections.gguf.fleet.plugins.module_utils._lock.measure import measure
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.seal import apply_seal
from ansible_collections.gguf.fleet.plugins.modules import gguf_seal
from ansible_collections.gguf.fleet.tests.builders.gguf import (
    MODEL_KV,
    Tensor,
    header,
    pad,
    split_set,
    tensors,
    write_shards,
)
from ansible_collections.gguf.fleet.tests.doubles.hub.faults import Fault
from ansible_collections.gguf.fleet.tests.doubles.hub.server import HubDouble
from ansible_collections.gguf.fleet.tests.integration.play import Play, held_still, next_line, rest_of

REPO = "lab/Tiny-GGUF"
PIECE_BYTES = 10_000
Quants = Dict[str, Dict[str, bytes]]
Run = Callable[..., Dict[str, Any]]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def merge(contents: List[bytes]) -> bytes:
    layout = merge_layout([parse_header(content) for content in contents])
    merged = bytearray(layout.size_bytes)
    merged[: len(layout.header)] = layout.header
    for part in layout.segments:
        end = part.source_offset + part.length_bytes
        merged[part.dest_offset : part.dest_offset + part.length_bytes] = contents[part.shard][part.source_offset : end]
    return bytes(merged)


def seal_module(*more: Dict[str, Any], **options: Any) -> Dict[str, Any]:
    output = io.StringIO()
    with (
        patch_module_args({"downloads": [{"name": "tiny", **options}, *more]}),
        redirect_stdout(output),
        pytest.raises(SystemExit),
    ):
        gguf_seal.main()
    result: Dict[str, Any] = json.loads(output.getvalue())
    return result


@pytest.fixture(name="contents")
def the_shards(quants: Quants) -> List[bytes]:
    return list(quants["UD-IQ1_S"].values())


@pytest.fixture(name="lock")
def a_lock_of_the_hub(hub: HubDouble, resolve: Run) -> Dict[str, Any]:
    lock: Dict[str, Any] = resolve(hub="modelscope", repo=REPO, endpoint=hub.url, quant="UD-IQ1_S")["lock"]
    return lock


@pytest.fixture(name="merged")
def the_merged_file(tmp_path: Path, contents: List[bytes]) -> Path:
    path = tmp_path / "Tiny-UD-IQ1_S.gguf"
    path.write_bytes(merge(contents))
    return path


def expected_pieces(content: bytes) -> List[str]:
    return [sha(content[at : at + PIECE_BYTES]) for at in range(0, len(content), PIECE_BYTES)]


def assert_is_the_seal(seal: Dict[str, Any], lock: Dict[str, Any], contents: List[bytes]) -> None:
    for file, content in zip(lock["files"], contents):
        assert seal["files"][file["path"]] == sha(content)
        assert seal["pieces"][file["path"]] == expected_pieces(content)


def test_the_shards_pieces_are_summed_out_of_the_merged_file(
    lock: Dict[str, Any], merged: Path, contents: List[bytes], hub: HubDouble
) -> None:
    hub.reset_counters()
    seal = measure(lock, str(merged), "merged", HttpClient(), piece_bytes=PIECE_BYTES)
    assert_is_the_seal(seal, lock, contents)
    assert seal["merged_sha256"] == sha(merged.read_bytes())


def test_the_shards_themselves_give_the_same_pieces(
    tmp_path: Path, lock: Dict[str, Any], contents: List[bytes]
) -> None:
    for file, content in zip(lock["files"], contents):
        (tmp_path / Path(file["path"]).name).write_bytes(content)
    seal = measure(lock, str(tmp_path), "shards", HttpClient(), piece_bytes=PIECE_BYTES)
    assert_is_the_seal(seal, lock, contents)
    assert seal["merged_sha256"] is None


def test_sums_that_the_hub_did_not_tell_come_out_of_the_merged_file(
    lock: Dict[str, Any], merged: Path, contents: List[bytes]
) -> None:
    untold = {**lock, "files": [{**file, "sha256": None} for file in lock["files"]]}
    seal = measure(untold, str(merged), "merged", HttpClient(), piece_bytes=PIECE_BYTES)
    sealed = apply_seal(untold, seal)
    assert [file["sha256"] for file in sealed["files"]] == [sha(content) for content in contents]
    assert check_lock(sealed)["merged"]["sha256"] == sha(merged.read_bytes())


def test_padding_that_is_not_zero_in_the_shards_is_read_from_where_they_are(tmp_path: Path, resolve: Run) -> None:
    groups = [tensors(3, prefix=f"blk.{index}", items=3) for index in range(2)]
    contents = split_set(groups, gap=b"\x7f")
    (tmp_path / "shards").mkdir()
    write_shards(tmp_path / "shards", contents)
    (tmp_path / "merged.gguf").write_bytes(merge(contents))
    lock = resolve(hub="path", path=str(tmp_path / "shards"))["lock"]
    seal = measure(lock, str(tmp_path / "merged.gguf"), "merged", HttpClient(), piece_bytes=PIECE_BYTES)
    assert_is_the_seal(seal, lock, contents)


def test_a_merged_file_with_one_other_byte_is_not_sealed(lock: Dict[str, Any], merged: Path) -> None:
    content = bytearray(merged.read_bytes())
    content[-5] ^= 1
    merged.write_bytes(content)
    refused = seal_module(lock=lock, dest=str(merged))
    assert refused["failed"]
    assert "Do not seal from this copy" in refused["remedy"]
    assert lock["files"][2]["path"] in refused["problem"]


@pytest.mark.parametrize("layout", ["merged", "shards"])
def test_files_that_are_not_there_are_named(tmp_path: Path, lock: Dict[str, Any], layout: str) -> None:
    refused = seal_module(lock=lock, dest=str(tmp_path / "none"), layout=layout)
    assert str(tmp_path / "none") in refused["problem"]
    assert refused["remedy"] == "Run gguf_download first."


def test_a_merged_file_of_another_size_is_named_with_both_sizes(lock: Dict[str, Any], merged: Path) -> None:
    size_bytes = merged.stat().st_size
    merged.write_bytes(merged.read_bytes()[:-32])
    refused = seal_module(lock=lock, dest=str(merged))
    assert f"{size_bytes - 32:,} bytes instead of {size_bytes:,}" in refused["problem"]


def test_a_lock_with_a_path_out_of_its_folder_is_refused(lock: Dict[str, Any], tmp_path: Path) -> None:
    lock["files"][0]["path"] = "../../etc/passwd"
    refused = seal_module(lock=lock, dest=str(tmp_path), layout="shards")
    assert "../../etc/passwd" in refused["problem"]


def test_only_what_the_merged_file_lacks_is_read_from_the_hub(
    lock: Dict[str, Any], merged: Path, hub: HubDouble, contents: List[bytes]
) -> None:
    hub.inject(Fault("status", "*.gguf", times=1))
    hub.reset_counters()
    result = seal_module(lock=lock, dest=str(merged))
    assert (result["changed"], list(result["seals"])) == (False, ["tiny"])
    # The whole small file fits into the first read of its header; after that only the padding is read.
    rest = hub.bytes_sent() - sum(map(len, contents))
    assert rest < sum(parse_header(content).data_offset for content in contents) + 32


def test_one_run_seals_what_has_no_seal_yet_and_names_each_copy_that_is_wrong(
    lock: Dict[str, Any], merged: Path, hub: HubDouble, tmp_path: Path
) -> None:
    first = seal_module(lock=lock, dest=str(merged))["seals"]["tiny"]
    sealed = apply_seal(lock, first)
    hub.reset_counters()
    assert seal_module(lock=sealed, dest=str(tmp_path / "not even there"))["seals"] == {}
    assert not hub.requests

    missing = {"name": "missing", "lock": lock, "dest": str(tmp_path / "missing.gguf")}
    gone = {"name": "gone", "lock": lock, "dest": str(tmp_path / "gone.gguf")}
    refused = seal_module(missing, gone, lock=lock, dest=str(merged))
    assert refused["failed"]
    assert all(one["dest"] in refused["msg"] for one in (missing, gone))
    assert refused["seals"] == {"tiny": first}


def test_the_seal_of_the_real_shards_comes_out_of_the_real_merge(tmp_path: Path, smollm2: Any, resolve: Run) -> None:
    lock = resolve(hub="path", path=str(Path(smollm2.shards[0]).parent))["lock"]
    seal = measure(lock, str(smollm2.merged), "merged", HttpClient())
    for path in smollm2.shards:
        assert seal["files"][Path(path).name] == sha(Path(path).read_bytes())
    assert seal["merged_sha256"] == sha(Path(smollm2.merged).read_bytes())


def large_file(place: Path, size_bytes: int) -> Path:
    """A whole model, most of it a hole: nothing on the disk, and yet long to read."""
    path = place / "share" / "large.gguf"
    path.parent.mkdir()
    content = pad(header(MODEL_KV, [Tensor("blk.0.weight", (size_bytes,), "I8")]))
    path.write_bytes(content)
    os.truncate(path, len(content) + size_bytes)
    return path


def test_how_far_it_is_is_told_on_the_way(tmp_path: Path, resolve: Run) -> None:
    path = large_file(tmp_path, 1 << 30)
    lock = resolve(hub="path", path=str(path.parent))["lock"]
    told: List[Tuple[str, int, int]] = []
    measure(lock, str(path), "merged", HttpClient(), tell=lambda *seen: told.append(seen))
    assert {(phase, total) for phase, _done, total in told} == {("seal", path.stat().st_size)}
    counts = [done for _phase, done, _total in told]
    assert counts == sorted(counts)
    assert 0 < counts[-1] <= path.stat().st_size


def test_a_file_that_cannot_be_read_ends_the_reading_of_the_others(tmp_path: Path, resolve: Run) -> None:
    groups = [tensors(2, prefix=f"blk.{index}", items=4096) for index in range(2)]
    (tmp_path / "share").mkdir()
    write_shards(tmp_path / "share", split_set(groups))
    lock = resolve(hub="path", path=str(tmp_path / "share"))["lock"]
    first, second = (tmp_path / "share" / file["path"] for file in lock["files"])
    os.truncate(first, 1 << 40)
    second.unlink()
    began = time.monotonic()
    with pytest.raises(HubProblem, match="cannot be read"):
        measure(lock, str(tmp_path / "share"), "shards", HttpClient())
    assert time.monotonic() - began < 10


def test_a_playbook_shows_how_far_it_is(tmp_path: Path, resolve: Run) -> None:
    path = large_file(tmp_path, 512 << 20)
    lock = resolve(hub="path", path=str(path.parent))["lock"]
    play = Play(tmp_path, "gguf.fleet.gguf_seal", path, name="large", lock=lock)
    running = play.start()
    with held_still(path.with_name(".large.gguf.seal-status")):
        assert ": seal " in next_line(running, play.is_progress)
    assert "changed=0" in rest_of(running)
    assert list(path.parent.iterdir()) == [path]

    play.variables["models_progress"] = False
    assert play.progress_lines(play.run()) == []
