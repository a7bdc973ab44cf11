# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What downloads still take of the disk, by their locks and by what lies there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import room
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.request import Request

MIB = 1 << 20
KEPT = 2 * 4 + 2 * 1000  # a state for each block, and the headers


def wanted(dest: Path, layout: str = "merged", name: str = "") -> Request:
    files = [
        {"path": f"m-0000{number}-of-00002.gguf", "size_bytes": 4 * MIB, "sha256": None, "header_bytes": 1000}
        for number in (1, 2)
    ]
    lock: Dict[str, Any] = {"files": files, "merged": {"size_bytes": 7 * MIB}}
    return Request(lock, str(dest), layout=layout, name=name)


def test_a_merged_file_takes_its_own_size_and_shards_take_theirs(tmp_path: Path) -> None:
    assert room.missing_bytes(wanted(tmp_path / "m.gguf")) == 7 * MIB + KEPT
    assert room.missing_bytes(wanted(tmp_path / "m", "shards")) == 8 * MIB + KEPT


def test_what_was_fetched_before_an_interruption_is_not_counted_again(tmp_path: Path) -> None:
    request = wanted(tmp_path / "m.gguf")
    partial = tmp_path / "m.gguf.partial"
    partial.write_bytes(b"x" * 3 * MIB)
    Path(request.places.journal).write_bytes(b"")
    assert room.missing_bytes(request) == 7 * MIB - partial.stat().st_blocks * 512


def test_a_shard_of_the_right_size_counts_as_there(tmp_path: Path) -> None:
    request = wanted(tmp_path / "m", "shards")
    (tmp_path / "m").mkdir()
    with open(request.paths[1], "wb") as file:
        file.truncate(4 * MIB)
    assert room.missing_bytes(request) == 4 * MIB + KEPT


def test_each_model_is_named_with_what_it_takes_and_with_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda place: 10 * MIB)
    requests = [wanted(tmp_path / name / "m.gguf", name=name) for name in ("one", "two")]
    room.check_room_together(requests[:1], Ledger(str(tmp_path / "ledger.json")))
    with pytest.raises(TransferError) as caught:
        room.check_room_together(requests, Ledger(str(tmp_path / "ledger.json")))
    needed = 7 * MIB + KEPT
    assert caught.value.problem == (
        f"{tmp_path} has 10.0 MiB free ({10 * MIB:,} bytes); 14.0 MiB more are needed ({2 * needed:,} bytes): "
        f"one 7.0 MiB ({needed:,} bytes), two 7.0 MiB ({needed:,} bytes). 4.0 MiB are missing."
    )
    assert caught.value.remedy.startswith("Free 4.0 MiB there")
