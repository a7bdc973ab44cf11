# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger, LedgerError
from ansible_collections.gguf.fleet.plugins.module_utils._merge import compare, merge, moving, writing
from ansible_collections.gguf.fleet.plugins.module_utils._merge.merge import MergeResult, apply_merge
from ansible_collections.gguf.fleet.plugins.module_utils._merge.plan import (
    MergePlan,
    MergeRequest,
    plan_merge,
)
from ansible_collections.gguf.fleet.plugins.module_utils._merge.progress import MERGING, VERIFYING
from ansible_collections.gguf.fleet.plugins.module_utils._merge.removal import apply_removal, plan_removal
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.tests.builders.gguf import (
    MODEL_KV,
    Tensor,
    gguf,
    pad,
    split_set,
    tensors,
    write_shards,
)

CHECKPOINT = 4096
GROUPS = [
    [Tensor("token_embd.weight", (1001,))],
    tensors(3, prefix="a", items=2048),
    [],
    [Tensor("odd.weight", (999,), "I8"), *tensors(2, prefix="b", items=3000)],
]


def merged_content(groups: list[list[Tensor]]) -> bytes:
    total = sum(len(group) for group in groups)
    kv = {**MODEL_KV, "split.no": ("u16", 0), "split.tensors.count": ("i32", total), "split.count": ("u16", 0)}
    return pad(gguf(kv, [tensor for group in groups for tensor in group]))


WHOLE = merged_content(GROUPS)
SUM = hashlib.sha256(WHOLE).hexdigest()


class Place:
    """A directory with a set of shards and a ledger, and the merge of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.shards = [Path(path) for path in write_shards(directory, split_set(GROUPS))]
        self.dest = directory / "merged.gguf"
        self.temporary = directory / ".merged.gguf.merging"
        self.journal = directory / ".merged.gguf.merge-journal"
        self.ledger = Ledger(str(directory / "ledger.json"))

    @property
    def digests(self) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self.shards if path.exists()}

    def request(self, **options: Any) -> MergeRequest:
        return MergeRequest(src=str(self.shards[0]), dest=str(self.dest), **options)

    def plan(self, **options: Any) -> MergePlan:
        return plan_merge(self.request(**options), self.ledger)

    def merge(self, **options: Any) -> MergeResult:
        return apply_merge(self.plan(**options), self.ledger, checkpoint_bytes=CHECKPOINT)

    def left_over(self) -> set[str]:
        known = {path.name for path in self.shards} | {"ledger.json", "ledger.json.lock"}
        return set(os.listdir(self.directory)) - known


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Interrupted(BaseException):
    """As sudden as a kill: nothing catches it but what must."""


def interrupt_at(monkeypatch: pytest.MonkeyPatch, copies: int) -> None:
    """Let the merge die at its nth copy."""
    left = [copies]
    copy = moving.Copier.copy

    def dying(self: moving.Copier, *args: Any, **options: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Interrupted
        copy(self, *args, **options)

    monkeypatch.setattr(moving.Copier, "copy", dying)


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "WINDOW_BYTES", 1000)


def interrupted_merge(place: Place, copies: int, **options: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        interrupt_at(patch, copies)
        with pytest.raises(Interrupted):
            place.merge(**options)


def test_merge_is_the_whole_file_with_its_sum_and_facts(place: Place) -> None:
    result = place.merge()
    assert place.dest.read_bytes() == WHOLE
    assert result.sha256 == SUM
    assert (result.shards, result.tensors, result.size_bytes) == (4, 7, len(WHOLE))
    assert result.bytes_copied == len(WHOLE)
    assert place.left_over() == {"merged.gguf"}
    assert place.dest.stat().st_mode & 0o777 == 0o444


def test_shards_are_untouched(place: Place) -> None:
    before = {path: (path.read_bytes(), path.stat()) for path in place.shards}
    place.merge()
    for path, (content, status) in before.items():
        assert path.read_bytes() == content
        assert path.stat().st_mtime_ns == status.st_mtime_ns


def test_merge_without_sum_makes_the_same_file(place: Place) -> None:
    assert place.merge(get_sha256=False).sha256 is None
    assert place.dest.read_bytes() == WHOLE


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_bytes_go_through_memory_where_the_kernel_cannot_copy(
    place: Place, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*args: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    assert place.merge().sha256 == SUM


def test_second_run_reads_no_shard_and_changes_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.merge()
    monkeypatch.setattr("builtins.open", _only_the_ledger(place))
    plan = place.plan()
    assert (plan.outcome, plan.actions, plan.changed) == ("unchanged", [], False)
    assert plan.facts == {
        "size_bytes": len(WHOLE),
        "sha256": SUM,
        "shards": 4,
        "tensors": 7,
        "tail_padding_bytes": 0,
    }


def _only_the_ledger(place: Place) -> Callable[..., Any]:
    real = open

    def guarded(path: Any, *args: Any, **options: Any) -> Any:
        assert str(path) == place.ledger.path, f"{path} was opened"
        return real(path, *args, **options)

    return guarded


def test_touched_result_is_still_known(place: Place) -> None:
    place.merge()
    os.utime(place.dest, (1, 1))
    assert place.plan().outcome == "unchanged"


def test_result_stays_known_when_the_shards_are_gone(place: Place) -> None:
    place.merge()
    for path in place.shards:
        path.unlink()
    assert place.plan().outcome == "unchanged"


def test_same_merge_by_another_tool_is_adopted_after_a_look_at_its_bytes(place: Place) -> None:
    place.dest.write_bytes(WHOLE)
    plan = place.plan()
    assert (plan.outcome, plan.changed) == ("compare", False)
    assert apply_merge(plan, place.ledger).sha256 == SUM
    assert place.plan().outcome == "unchanged"


@pytest.mark.parametrize("at", [0, 40, len(WHOLE) // 2, len(WHOLE) - 1])
def test_other_content_of_the_same_size_is_refused_and_left_alone(place: Place, at: int) -> None:
    other = bytearray(WHOLE)
    other[at] ^= 1
    place.dest.write_bytes(other)
    with pytest.raises(GgufError, match="exists and is something else"):
        place.merge()
    assert place.dest.read_bytes() == other


def test_recorded_result_of_other_shards_is_refused(place: Place) -> None:
    place.merge()
    changed = bytearray(place.shards[1].read_bytes())
    changed[-1] ^= 1
    place.shards[1].write_bytes(changed)
    with pytest.raises(GgufError, match="something else: it differs"):
        place.merge()


def test_touched_shards_are_compared_once_and_then_known(place: Place) -> None:
    place.merge()
    os.utime(place.shards[2], (1, 1))
    assert place.plan().outcome == "compare"
    place.merge()
    assert place.plan().outcome == "unchanged"


def test_verify_full_reads_the_result_again(place: Place) -> None:
    place.merge()
    assert place.plan(verify_full=True).outcome == "hash"
    assert place.merge(verify_full=True).sha256 == SUM


def test_verify_full_finds_damage(place: Place) -> None:
    place.merge()
    place.dest.chmod(0o644)
    with place.dest.open("r+b") as file:
        file.seek(len(WHOLE) // 2)
        file.write(b"\xff\xfe")
    assert place.plan().outcome == "unchanged"
    with pytest.raises(GgufError, match="is damaged"):
        place.merge(verify_full=True)


def test_sum_that_was_not_computed_is_computed_when_asked_for(place: Place) -> None:
    place.merge(get_sha256=False)
    assert place.merge().sha256 == SUM
    assert place.plan().outcome == "unchanged"


def corrupt_last_byte(place: Place) -> None:
    with place.shards[3].open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xee")


def remove_two(place: Place) -> None:
    place.shards[1].unlink()
    place.shards[3].unlink()


REFUSED: dict[str, tuple[Callable[[Place], Any], dict[str, Any], str]] = {
    "truncated shard": (
        lambda place: os.truncate(place.shards[1], place.shards[1].stat().st_size - 1),
        {},
        "model-00002-of-00004.gguf: the file is 1 bytes short",
    ),
    "missing shards": (
        remove_two,
        {},
        "2 of 4 shards are missing",
    ),
    "exchanged shards": (
        lambda place: [
            place.shards[1].rename(place.directory / "x"),
            place.shards[3].rename(place.shards[1]),
            (place.directory / "x").rename(place.shards[3]),
        ],
        {},
        "in the place of shard 2 is shard 4",
    ),
    "dest of another size": (
        lambda place: place.dest.write_bytes(b"mine"),
        {},
        "exists and is something else: 4 bytes",
    ),
    "dest is a directory": (lambda place: place.dest.mkdir(), {}, "exists and is not a file"),
    "dest is a dead link": (
        lambda place: place.dest.symlink_to("/nowhere/at/all"),
        {},
        "symbolic link to a file that does not exist",
    ),
    "consume without checksums": (lambda place: None, {"consume": True}, "its sha256 is not known"),
    "consume without hashing": (
        lambda place: None,
        {"consume": True, "get_sha256": False},
        "consume needs the checksums",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_is_written(place: Place, name: str) -> None:
    spoil, options, reason = REFUSED[name]
    spoil(place)
    before = sorted(os.listdir(place.directory))
    with pytest.raises(GgufError) as caught:
        place.merge(**options)
    assert reason in str(caught.value)
    assert sorted(os.listdir(place.directory)) == before


@pytest.mark.parametrize(
    "src, reason",
    [
        ("model-00002-of-00004.gguf", "is shard 2 of 4"),
        ("model.gguf", "is not named like a shard"),
        ("model-00005-of-00004.gguf", "is not named like a shard"),
    ],
)
def test_only_the_first_shard_names_a_set(place: Place, src: str, reason: str) -> None:
    request = MergeRequest(src=str(place.directory / src), dest=str(place.dest))
    with pytest.raises(GgufError) as caught:
        plan_merge(request, place.ledger)
    assert reason in caught.value.problem


def test_shard_as_dest_is_refused(place: Place) -> None:
    request = MergeRequest(src=str(place.shards[0]), dest=str(place.shards[2]))
    with pytest.raises(GgufError, match="is one of the shards"):
        plan_merge(request, place.ledger)


def test_missing_directory_is_named(place: Place) -> None:
    request = MergeRequest(src=str(place.shards[0]), dest=str(place.directory / "no" / "merged.gguf"))
    with pytest.raises(GgufError, match="does not exist"):
        plan_merge(request, place.ledger)


def test_little_room_is_refused_with_the_bytes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(place.directory)

    class Room:
        f_frsize = 1
        f_bavail = len(WHOLE) - 1
        f_bfree = real.f_bfree

    monkeypatch.setattr(os, "statvfs", lambda path: Room)
    with pytest.raises(GgufError, match=rf"\({len(WHOLE) - 1:,} bytes\) free"):
        place.plan()
    Room.f_bavail += 1
    assert place.plan().disk_needed_bytes == len(WHOLE)


def test_consume_needs_room_for_one_shard_more_than_is_freed(place: Place) -> None:
    plan = place.plan(consume=True, shard_sha256=place.digests)
    assert plan.disk_needed_bytes < len(WHOLE) / 1.5


def test_wrong_expected_sum_leaves_no_output(place: Place) -> None:
    with pytest.raises(GgufError, match="the merge has sha256"):
        place.merge(sha256="0" * 64)
    assert place.left_over() == set()


def test_wrong_expected_sum_of_a_recorded_result_is_refused(place: Place) -> None:
    place.merge()
    with pytest.raises(GgufError, match=f"has sha256 {SUM}"):
        place.plan(sha256="0" * 64)


def test_right_expected_sum_may_be_in_capitals(place: Place) -> None:
    assert place.merge(sha256=SUM.upper()).sha256 == SUM


def test_shard_with_a_wrong_sum_is_named_and_a_good_copy_finishes_the_merge(place: Place, small_windows: None) -> None:
    good = place.digests
    right = place.shards[3].read_bytes()
    corrupt_last_byte(place)
    with pytest.raises(GgufError, match=r"model-00004-of-00004\.gguf has sha256"):
        place.merge(shard_sha256=good)
    assert not place.dest.exists()
    place.shards[3].write_bytes(right)
    result = place.merge(shard_sha256=good)
    assert result.sha256 == SUM
    assert result.resumed_bytes > 0


def test_sums_of_shards_come_from_the_ledger_too(place: Place) -> None:
    for path in place.shards:
        place.ledger.record(str(path), sha256="0" * 64, kind="file")
    with pytest.raises(GgufError, match="has sha256"):
        place.merge()


def test_consume_removes_every_shard_once_its_bytes_are_safe(place: Place) -> None:
    result = place.merge(consume=True, shard_sha256=place.digests)
    assert place.dest.read_bytes() == WHOLE
    assert result.removed == tuple(str(path) for path in place.shards)
    assert place.left_over() == {"merged.gguf"}
    assert not any(path.exists() for path in place.shards)
    assert place.plan(consume=True).outcome == "unchanged"


def test_consume_after_a_merge_removes_only_shards_whose_sums_were_checked(place: Place) -> None:
    digests = place.digests
    del digests[place.shards[1].name]
    place.merge(shard_sha256=digests)
    plan = place.plan(consume=True)
    assert plan.changed
    apply_merge(plan, place.ledger)
    assert [path.exists() for path in place.shards] == [False, True, False, False]


def link(place: Place) -> None:
    os.link(place.shards[1], place.directory / "other-name")


def make_link(place: Place) -> None:
    place.shards[1].rename(place.directory / "real")
    place.shards[1].symlink_to(place.directory / "real")


@pytest.mark.parametrize(
    "use, reason",
    [(link, "it has 1 other hard link"), (make_link, "it is a symbolic link")],
    ids=["hard link", "symbolic link"],
)
def test_shard_that_has_another_name_is_not_consumed(place: Place, use: Callable[[Place], None], reason: str) -> None:
    digests = place.digests
    use(place)
    with pytest.raises(GgufError, match=f"cannot be consumed: {reason}"):
        place.merge(consume=True, shard_sha256=digests)
    assert all(path.exists() for path in place.shards)
    assert not place.dest.exists()


def test_shard_that_somebody_reads_is_not_consumed(place: Place) -> None:
    with place.shards[2].open("rb"), pytest.raises(GgufError, match="a process has it open"):
        place.merge(consume=True, shard_sha256=place.digests)
    assert all(path.exists() for path in place.shards)


def test_shard_that_comes_into_use_during_the_merge_is_kept_and_told(place: Place) -> None:
    plan = place.plan(consume=True, shard_sha256=place.digests)
    with place.shards[1].open("rb"):
        result = apply_merge(plan, place.ledger, checkpoint_bytes=CHECKPOINT)
    assert result.kept == ((str(place.shards[1]), "a process has it open"),)
    assert place.dest.read_bytes() == WHOLE
    assert [path.exists() for path in place.shards] == [False, True, False, False]


def test_merge_goes_on_where_it_was_interrupted(place: Place, small_windows: None) -> None:
    interrupted_merge(place, 30)
    assert not place.dest.exists()
    result = place.merge()
    assert result.resumed_bytes >= CHECKPOINT
    assert result.bytes_copied == len(WHOLE) - result.resumed_bytes
    assert (place.dest.read_bytes(), result.sha256) == (WHOLE, SUM)
    assert place.left_over() == {"merged.gguf"}


def test_merge_without_sums_goes_on_too_after_a_comparison(place: Place, small_windows: None) -> None:
    interrupted_merge(place, 30, get_sha256=False)
    assert place.merge(get_sha256=False).resumed_bytes > 0
    assert place.dest.read_bytes() == WHOLE


def test_merge_begun_without_sums_can_end_with_one(place: Place, small_windows: None) -> None:
    interrupted_merge(place, 30, get_sha256=False)
    result = place.merge()
    assert result.resumed_bytes > 0
    assert result.sha256 == SUM


@pytest.mark.parametrize("get_sha256", [True, False])
def test_damaged_bytes_of_an_interrupted_run_are_written_again(
    place: Place, small_windows: None, get_sha256: bool
) -> None:
    interrupted_merge(place, 30, get_sha256=get_sha256)
    with place.temporary.open("r+b") as file:
        file.seek(CHECKPOINT + 10)
        file.write(b"damage")
    result = place.merge(get_sha256=get_sha256)
    assert result.resumed_bytes <= CHECKPOINT
    assert place.dest.read_bytes() == WHOLE


def test_torn_journal_line_counts_as_never_written(place: Place, small_windows: None) -> None:
    interrupted_merge(place, 30)
    with place.journal.open("ab") as file:
        file.write(b'{"checkpoint": 99')
    assert place.merge().sha256 == SUM


def test_empty_journal_starts_anew(place: Place, small_windows: None) -> None:
    interrupted_merge(place, 30)
    place.journal.write_bytes(b"")
    assert place.merge().resumed_bytes == 0
    assert place.dest.read_bytes() == WHOLE


def test_damaged_journal_is_named(place: Place, small_windows: None) -> None:
    interrupted_merge(place, 30)
    place.journal.write_bytes(b"{}\n")
    with pytest.raises(GgufError, match=r"merge-journal is damaged"):
        place.plan()


def test_shard_replaced_by_another_begins_anew(place: Place, small_windows: None) -> None:
    interrupted_merge(place, 30)
    other = [*GROUPS[:3], [Tensor("odd.weight", (990,), "I8"), *tensors(2, prefix="b", items=3000)]]
    write_shards(place.directory, split_set(other))
    assert place.merge().resumed_bytes == 0
    assert place.dest.read_bytes() == merged_content(other)


def test_shard_replaced_by_one_with_other_bytes_is_read_again_from_its_start(place: Place, small_windows: None) -> None:
    interrupted_merge(place, 30)
    content = bytearray(place.shards[1].read_bytes())
    content[-5000] ^= 1
    other = place.directory / "other"
    other.write_bytes(content)
    other.rename(place.shards[1])
    result = place.merge()
    assert result.resumed_bytes <= 5000
    expected = bytearray(WHOLE)
    expected[WHOLE.index(bytes(content[-4000:])) - 1000] ^= 1
    assert place.dest.read_bytes() == expected


def test_interrupted_consume_loses_nothing(place: Place, small_windows: None) -> None:
    digests = place.digests
    interrupted_merge(place, 35, consume=True, shard_sha256=digests)
    assert [path.exists() for path in place.shards] == [False, False, False, True]
    result = place.merge(consume=True, shard_sha256=digests)
    assert (place.dest.read_bytes(), result.sha256) == (WHOLE, SUM)
    assert not any(path.exists() for path in place.shards)


def test_interrupted_consume_can_end_without_consume(place: Place, small_windows: None) -> None:
    interrupted_merge(place, 35, consume=True, shard_sha256=place.digests)
    assert place.merge().sha256 == SUM
    assert place.shards[3].exists()


@pytest.mark.parametrize("what", ["temporary", "journal"])
def test_lost_half_of_a_consuming_merge_is_named_and_nothing_is_deleted(
    place: Place, small_windows: None, what: str
) -> None:
    interrupted_merge(place, 35, consume=True, shard_sha256=place.digests)
    getattr(place, what).unlink()
    rest = sorted(os.listdir(place.directory))
    with pytest.raises(GgufError, match=r"is gone, and with it|shards are missing"):
        place.merge()
    assert sorted(os.listdir(place.directory)) == rest


def test_damage_in_the_only_copy_of_a_shard_is_told(place: Place, small_windows: None) -> None:
    interrupted_merge(place, 35, consume=True, shard_sha256=place.digests)
    with place.temporary.open("r+b") as file:
        file.seek(100)
        file.write(b"damage")
    with pytest.raises(GgufError, match=r"only copy of the consumed .*model-00001-of-00004\.gguf"):
        place.merge()


def test_shard_that_was_downloaded_again_heals_that_damage(place: Place, small_windows: None) -> None:
    copies = {path: path.read_bytes() for path in place.shards}
    digests = place.digests
    interrupted_merge(place, 35, consume=True, shard_sha256=digests)
    with place.temporary.open("r+b") as file:
        file.seek(CHECKPOINT + 1)
        file.write(b"damage")
    for path, content in copies.items():
        path.write_bytes(content)
    assert place.merge(shard_sha256=digests).sha256 == SUM
    assert place.dest.read_bytes() == WHOLE


def test_crash_between_rename_and_ledger_is_repaired_without_reading(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args: Any, **options: Any) -> None:
        raise Interrupted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "record", die)
        with pytest.raises(Interrupted):
            place.merge(consume=True, shard_sha256=place.digests)
    assert place.dest.exists()
    plan = place.plan(consume=True)
    assert plan.outcome == "record"
    result = apply_merge(plan, place.ledger)
    assert result.sha256 == SUM
    assert place.left_over() == {"merged.gguf"}
    assert not any(path.exists() for path in place.shards)


def test_sum_of_a_finished_run_without_one_is_computed_when_asked_for(place: Place) -> None:
    def die(*args: Any, **options: Any) -> None:
        raise Interrupted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "record", die)
        with pytest.raises(Interrupted):
            place.merge(get_sha256=False)
    assert place.merge().sha256 == SUM


def test_notes_of_others_in_the_record_stay(place: Place) -> None:
    place.dest.write_bytes(WHOLE)
    place.ledger.record(str(place.dest), sha256=SUM, kind="file", repo="unsloth/model")
    place.merge()
    entry = place.ledger.lookup(str(place.dest))
    assert entry is not None
    assert entry.notes["repo"] == "unsloth/model"
    assert place.plan().outcome == "unchanged"


def test_ledger_that_cannot_be_written_stops_before_the_merge(place: Place) -> None:
    plan = place.plan()
    ledger = Ledger(str(place.directory / "model-00001-of-00004.gguf" / "ledger.json"))
    with pytest.raises(LedgerError, match="cannot be written"):
        apply_merge(plan, ledger)
    assert place.left_over() == set()


def test_two_merges_into_one_file_do_not_meet(place: Place) -> None:
    plan = place.plan()
    with writing.exclusive(str(place.temporary)), pytest.raises(GgufError, match="another merge is writing"):
        apply_merge(plan, place.ledger)


def test_file_that_appears_during_the_merge_is_not_overwritten(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = place.plan()
    place.dest.write_bytes(b"mine")
    with pytest.raises(GgufError, match="appeared"):
        apply_merge(plan, place.ledger)
    assert place.dest.read_bytes() == b"mine"


def test_full_disk_keeps_the_shards_and_the_next_run_goes_on(
    place: Place, small_windows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = moving.Copier.copy
    left = [30]

    def full(self: moving.Copier, *args: Any, **options: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        copy(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moving.Copier, "copy", full)
        with pytest.raises(GgufError, match="became full"):
            place.merge()
    assert all(path.exists() for path in place.shards)
    assert not place.dest.exists()
    assert place.merge().resumed_bytes > 0


def test_shard_that_shrinks_during_the_merge_stops_it(place: Place) -> None:
    plan = place.plan()
    os.truncate(place.shards[1], 5000)
    with pytest.raises(GgufError, match="changed during the merge"):
        apply_merge(plan, place.ledger)
    assert not place.dest.exists()


def test_foreign_link_in_the_place_of_the_temporary_file_is_not_followed(place: Place) -> None:
    victim = place.directory / "victim"
    victim.write_bytes(b"precious")
    place.temporary.symlink_to(victim)
    with pytest.raises(Problem, match="is a link, where a file is expected"):
        place.merge()
    assert victim.read_bytes() == b"precious"


def test_foreign_hard_link_in_the_place_of_the_temporary_file_is_not_written(place: Place) -> None:
    victim = place.directory / "victim"
    victim.write_bytes(b"precious")
    os.link(victim, place.temporary)
    with pytest.raises(Problem, match="has other hard links"):
        place.merge()
    assert victim.read_bytes() == b"precious"


def test_check_mode_plan_equals_what_the_run_does(place: Place) -> None:
    before = sorted(os.listdir(place.directory))
    plan = place.plan(consume=True, shard_sha256=place.digests)
    assert sorted(os.listdir(place.directory)) == before
    assert plan.actions == [
        {"action": "merge", "path": str(place.dest), "size_bytes": len(WHOLE)},
        *[{"action": "remove", "path": str(path), "size_bytes": path.stat().st_size} for path in place.shards],
    ]


def test_absent_removes_result_leftovers_and_record(place: Place, small_windows: None) -> None:
    place.merge()
    shutil.copy(place.dest, place.temporary)
    plan = plan_removal(place.request(), place.ledger)
    assert plan.changed
    apply_removal(plan, place.ledger)
    assert place.left_over() == set()
    assert place.ledger.entries() == []
    assert not plan_removal(place.request(), place.ledger).changed


def test_absent_does_not_remove_the_only_copy_of_consumed_shards(place: Place, small_windows: None) -> None:
    interrupted_merge(place, 35, consume=True, shard_sha256=place.digests)
    with pytest.raises(GgufError, match="holds the only copy of 3 consumed shards"):
        plan_removal(place.request(), place.ledger)


class Told:
    """What a merge tells of its progress."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []

    def __call__(self, phase: str, done: int, total: int) -> None:
        self.calls.append((phase, done, total))

    def of(self, phase: str) -> list[int]:
        done = [done for told, done, _total in self.calls if told == phase]
        assert done == sorted(done)
        return done

    def totals(self, phase: str) -> set[int]:
        return {total for told, _done, total in self.calls if told == phase}


def told_merge(place: Place, **options: Any) -> Told:
    told = Told()
    apply_merge(place.plan(**options), place.ledger, checkpoint_bytes=CHECKPOINT, tell=told)
    return told


def test_a_merge_tells_every_window_that_it_wrote(place: Place, small_windows: None) -> None:
    told = told_merge(place, shard_sha256=place.digests)
    assert (told.of(VERIFYING), told.totals(MERGING)) == ([], {len(WHOLE)})
    steps = told.of(MERGING)
    assert steps[-1] == len(WHOLE)
    assert max(after - before for before, after in zip(steps, steps[1:])) <= 1000


def by_another_tool(place: Place) -> None:
    place.dest.write_bytes(WHOLE)


def merged_without_digest(place: Place) -> None:
    place.merge(get_sha256=False)


def merged(place: Place) -> None:
    place.merge()


def finished_without_sum_and_not_recorded(place: Place) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "record", lambda *_args, **_notes: None)
        patch.setattr(merge, "remove_file", lambda _path: None)
        place.merge(get_sha256=False)


READING: list[tuple[Callable[[Place], None], dict[str, Any]]] = [
    (by_another_tool, {}),
    (merged_without_digest, {}),
    (merged, {"verify_full": True}),
    (finished_without_sum_and_not_recorded, {}),
]


@pytest.mark.parametrize(("before", "options"), READING, ids=[before.__name__ for before, _options in READING])
def test_a_file_that_is_read_tells_how_far_that_is(
    place: Place, before: Callable[[Place], None], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before(place)
    monkeypatch.setattr(merge, "BUFFER_BYTES", 4000)
    monkeypatch.setattr(compare, "BUFFER_BYTES", 4000)
    told = told_merge(place, **options)
    assert told.of(MERGING) == []
    assert told.totals(VERIFYING) == {len(WHOLE)}
    assert (len(told.of(VERIFYING)) >= len(WHOLE) // 4000, told.of(VERIFYING)[-1]) == (True, len(WHOLE))


@pytest.mark.parametrize("get_sha256", [True, False])
def test_a_resumed_merge_tells_what_it_proves_and_then_only_what_it_writes(
    place: Place, small_windows: None, get_sha256: bool
) -> None:
    interrupted_merge(place, 30, get_sha256=get_sha256)
    told = told_merge(place, get_sha256=get_sha256)
    proved, written = told.of(VERIFYING), told.of(MERGING)
    assert told.calls == sorted(told.calls, key=lambda call: call[0] == MERGING)
    assert 0 < proved[-1] < written[0]
    assert written[-1] == len(WHOLE)


def test_the_copied_part_of_a_shard_is_hashed_step_by_step(
    place: Place, small_windows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_merge(place, 30, shard_sha256=place.digests)
    monkeypatch.setattr(merge, "WINDOW_BYTES", 1000)
    told = told_merge(place, shard_sha256=place.digests)
    # after the proof of the file itself come the copied shards, each to its own end
    again = [call for call in told.calls if call[0] == VERIFYING and call[2] <= place.shards[0].stat().st_size]
    assert [done for _phase, done, _total in again][:3] == [1000, 2000, 3000]
    assert place.dest.read_bytes() == WHOLE


def test_nothing_is_told_of_a_result_that_is_known(place: Place) -> None:
    place.merge()
    assert told_merge(place).calls == []


@pytest.mark.parametrize("end", ["merge", "removal"])
def test_the_status_of_a_killed_run_goes_with_the_next(place: Place, end: str) -> None:
    (place.directory / ".merged.gguf.merge-status").write_text("{}")
    if end == "merge":
        place.merge()
    else:
        apply_removal(plan_removal(place.request(), place.ledger), place.ledger)
    assert place.left_over() <= {"merged.gguf"}


def test_a_second_run_can_wait_for_the_first(place: Place) -> None:
    assert not writing.wait_for_other_run(str(place.temporary))
    ended = threading.Event()
    waited: list[tuple[bool, bool]] = []

    def wait() -> None:
        there_was_one = writing.wait_for_other_run(str(place.temporary))
        waited.append((there_was_one, ended.is_set()))

    waiting = threading.Thread(target=wait)
    with writing.exclusive(str(place.temporary)):
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        ended.set()
    waiting.join(10)
    assert waited == [(True, True)]
    assert not writing.wait_for_other_run(str(place.temporary))


@pytest.mark.parametrize("consume", [False, True])
def test_disk_is_reserved_for_one_shard_at_a_time(place: Place, monkeypatch: pytest.MonkeyPatch, consume: bool) -> None:
    real, reserved = writing.reserve_disk, []

    def noted(file: int, offset: int, length_bytes: int) -> None:
        reserved.append((offset, offset + length_bytes))
        real(file, offset, length_bytes)

    monkeypatch.setattr(writing, "reserve_disk", noted)
    plan = place.plan(consume=consume, shard_sha256=place.digests)
    assert plan.job is not None and plan.header is not None
    place.merge(consume=consume, shard_sha256=place.digests)
    ends = [plan.job.dest_start(index + 1) for index in range(len(place.shards))]
    assert [end for _start, end in reserved] == ends
    assert reserved[0][0] == len(plan.header)
    assert place.dest.stat().st_size == ends[-1]
