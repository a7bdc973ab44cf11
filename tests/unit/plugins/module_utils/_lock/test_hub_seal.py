# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The seal adds what only a verified copy can tell, and contradicts nothing."""

from __future__ import annotations

import hashlib
from typing import Any, Dict, List

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.seal import (
    FileDigests,
    apply_seal,
    keep_known,
    make_seal,
    sum_blocks,
)
from ansible_collections.gguf.fleet.tests.builders.listings import MIB, a_lock, digest_of

MERGED = "d" * 64


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 100, 1000])
def test_pieces_are_summed_whatever_the_blocks_are(block_bytes: int) -> None:
    data = bytes(range(256))[:250]
    blocks = [data[at : at + block_bytes] for at in range(0, len(data), block_bytes)]
    digests = sum_blocks(blocks, piece_bytes=64)
    assert digests == FileDigests(250, sha(data), [sha(data[at : at + 64]) for at in (0, 64, 128, 192)])


def test_a_file_that_ends_with_a_piece_has_no_empty_one_after_it() -> None:
    assert len(sum_blocks([bytes(128)], piece_bytes=64).pieces) == 2
    assert sum_blocks([], piece_bytes=64) == FileDigests(0, sha(b""), [])


def sums_of(lock: Dict[str, Any]) -> Dict[str, FileDigests]:
    return {
        file["path"]: FileDigests(file["size_bytes"], digest_of(file["path"]), ["e" * 64] * 2) for file in lock["files"]
    }


def untold(lock: Dict[str, Any]) -> Dict[str, Any]:
    """The lock of a hub that tells no checksums."""
    return {**lock, "files": [{**file, "sha256": None} for file in lock["files"]]}


def test_a_seal_brings_missing_sums_pieces_and_the_merged_sum() -> None:
    lock = untold(a_lock())
    done = apply_seal(lock, make_seal(lock, sums_of(lock), MERGED))
    assert [file["sha256"] for file in done["files"]] == [digest_of(file["path"]) for file in lock["files"]]
    assert done["merged"]["sha256"] == MERGED
    assert done["seal"]["piece_bytes"] == 64 * MIB
    assert all(len(digests) == 2 for digests in done["seal"]["pieces"].values())
    assert lock["files"][0]["sha256"] is None, "the lock that was given stays as it is"


def test_sealing_twice_changes_nothing() -> None:
    lock = a_lock()
    seal = make_seal(lock, sums_of(lock), MERGED)
    once = apply_seal(lock, seal)
    assert apply_seal(once, seal) == once


def test_a_copy_that_differs_from_the_lock_is_not_sealed() -> None:
    lock = a_lock()
    digests = sums_of(lock)
    digests[lock["files"][1]["path"]] = FileDigests(lock["files"][1]["size_bytes"], "0" * 64, ["e" * 64] * 2)
    with pytest.raises(HubProblem, match="Do not seal from this copy"):
        make_seal(lock, digests, None)


def wrong_file(seal: Dict[str, Any]) -> None:
    seal["files"][next(iter(seal["files"]))] = "0" * 64


def missing_file(seal: Dict[str, Any]) -> None:
    del seal["files"][next(iter(seal["files"]))]


def bad_piece(seal: Dict[str, Any]) -> None:
    next(iter(seal["pieces"].values()))[0] = "zz"


def too_few_pieces(seal: Dict[str, Any]) -> None:
    next(iter(seal["pieces"].values())).pop()


def no_piece_size(seal: Dict[str, Any]) -> None:
    seal["piece_bytes"] = None


def bad_merged(seal: Dict[str, Any]) -> None:
    seal["merged_sha256"] = "sha"


BREAKS: List[Any] = [wrong_file, missing_file, bad_piece, too_few_pieces, no_piece_size, bad_merged]


@pytest.mark.parametrize("damage", BREAKS)
def test_a_damaged_seal_is_refused(damage: Any) -> None:
    lock = a_lock()
    seal = make_seal(lock, sums_of(lock), MERGED)
    damage(seal)
    with pytest.raises(HubProblem):
        apply_seal(lock, seal)


def test_a_seal_without_a_sum_that_the_hub_did_not_tell_is_refused() -> None:
    lock = untold(a_lock())
    seal = make_seal(lock, sums_of(lock), MERGED)
    missing_file(seal)
    with pytest.raises(HubProblem, match="the sha256 None"):
        apply_seal(lock, seal)


def test_another_merged_sum_than_the_known_one_is_refused() -> None:
    lock = apply_seal(a_lock(), make_seal(a_lock(), sums_of(a_lock()), MERGED))
    with pytest.raises(HubProblem, match="The seal gives the merged file"):
        apply_seal(lock, make_seal(lock, sums_of(lock), "1" * 64))


@pytest.mark.parametrize("seal", [None, 3, {}, {"files": []}])
def test_something_that_is_no_seal_is_refused(seal: Any) -> None:
    with pytest.raises(HubProblem, match="not what gguf_seal returns"):
        apply_seal(a_lock(), seal)


def a_sealed_lock() -> Dict[str, Any]:
    return apply_seal(a_lock(), make_seal(a_lock(), sums_of(a_lock()), MERGED))


def test_a_fresh_lock_of_the_same_bytes_keeps_the_seal_and_one_of_others_loses_it() -> None:
    old = a_sealed_lock()
    moved = a_lock(commit="b" * 40)
    assert keep_known(old, moved) == {**old, "commit": "b" * 40}
    changed = a_lock()
    changed["files"][2]["sha256"] = "0" * 64
    assert keep_known(old, changed) == changed
    assert "seal" not in keep_known(old, a_lock(count=4))
    assert keep_known(a_lock(), moved) == moved


def test_a_hub_that_tells_no_sums_vouches_for_the_files_of_the_same_commit_only() -> None:
    old = a_sealed_lock()
    assert keep_known(old, untold(a_lock(revision="main"))) == {**old, "revision": "main"}
    other_size = untold(a_lock())
    other_size["files"][1]["size_bytes"] -= 1
    kept = keep_known(old, other_size)
    assert [bool(file["sha256"]) for file in kept["files"]] == [True, False, True]
    assert "seal" not in kept
    for change in ({"commit": "b" * 40}, {"commit": None}, {"repo": "other/R1-GGUF"}, {"hub": "huggingface"}):
        fresh = untold(a_lock(**change))
        assert keep_known(old, fresh) == fresh


def test_without_a_commit_on_both_sides_nothing_is_the_same() -> None:
    old = {**a_sealed_lock(), "commit": None}
    fresh = untold(a_lock(commit=None))
    assert keep_known(old, fresh) == fresh
