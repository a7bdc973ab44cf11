# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shards and the merged file are in a directory of the attacker, who puts things in the way of root's work."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gguf import rehearsal
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.inspect import inspect
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._lock.existing_files import local_copies
from ansible_collections.gguf.fleet.plugins.module_utils._merge.merge import apply_merge
from ansible_collections.gguf.fleet.plugins.module_utils._merge.plan import MergeRequest, plan_merge
from ansible_collections.gguf.fleet.plugins.module_utils._merge.removal import apply_removal, plan_removal
from ansible_collections.gguf.fleet.plugins.module_utils._merge.writing import wait_for_other_run
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.journal import Journal
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.lease import Places, acquire
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Status, StatusFile
from ansible_collections.gguf.fleet.tests.attacks.conftest import ATTACKER, AsUser, Canary
from ansible_collections.gguf.fleet.tests.attacks.store.conftest import give, seconds, swap
from ansible_collections.gguf.fleet.tests.builders import gguf as builders

SHARDS = builders.split_set([builders.tensors(1, prefix=prefix, items=4096) for prefix in ("a", "b", "c")])
SECRET = b"nobody but root reads this"


@pytest.fixture(autouse=True)
def _ends_soon() -> Iterator[None]:
    """What waits for the attacker for ever is interrupted."""

    def too_long(_signal: int, _frame: object) -> None:
        raise AssertionError("it waits for the attacker")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def ledger(reachable: Path) -> Ledger:
    return Ledger(str(reachable / "of-ledger" / "ledger.json"))


@pytest.fixture
def shards(attackers: Path) -> list[Path]:
    paths = [attackers / f"m-{number:05d}-of-{len(SHARDS):05d}.gguf" for number in range(1, len(SHARDS) + 1)]
    for path, data in zip(paths, SHARDS):
        path.write_bytes(data)
        give(path)
    return paths


def request(shards: list[Path], *, consume: bool = False) -> MergeRequest:
    digests = {path.name: hashlib.sha256(data).hexdigest() for path, data in zip(shards, SHARDS)}
    dest = str(shards[0].parent / "merged.gguf")
    return MergeRequest(str(shards[0]), dest, consume=consume, shard_sha256=digests)


def attempt(work: Callable[[], object]) -> None:
    try:
        work()
    except Problem:
        pass


TRAPS: dict[str, Callable[[Path, Path], object]] = {
    "link": lambda place, target: place.symlink_to(target),
    "hard link": lambda place, target: os.link(target, place),
    "pipe": lambda place, _target: os.mkfifo(place),
    "own file": lambda place, _target: place.write_bytes(b"{}\n"),
    "directory": lambda place, _target: place.mkdir(),
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("name", ["merging", "merge-journal", "merge-status", "merge-status.new"])
def test_nothing_that_waits_at_the_names_of_a_merge_is_written_to(
    shards: list[Path], ledger: Ledger, reachable: Path, name: str, trap: str
) -> None:
    wanted = request(shards)
    target = reachable / "of-root.conf"
    target.write_bytes(SECRET)
    target.chmod(0o600)
    place = shards[0].parent / f".merged.gguf.{name}"
    TRAPS[trap](place, target)
    if trap != "hard link":
        give(place)

    def merge() -> None:
        wait_for_other_run(wanted.temporary)
        StatusFile(wanted.status, {}).write(Status("merge", 0, 1))
        apply_merge(plan_merge(wanted, ledger), ledger)

    def remove() -> None:
        apply_removal(plan_removal(wanted, ledger), ledger)

    for work in (merge, remove):
        try:
            work()
        except (Problem, OSError):
            pass
    assert target.read_bytes() == SECRET
    assert (target.stat().st_uid, stat.S_IMODE(target.stat().st_mode)) == (0, 0o600)


def test_a_lock_of_the_attackers_keeps_no_merge_waiting(shards: list[Path], as_user: AsUser) -> None:
    place = Path(request(shards).temporary)
    place.touch()
    give(place)
    code = (
        "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, 2); print('held', flush=True); time.sleep(90)"
    )
    holder = as_user(code, place)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    assert wait_for_other_run(str(place)) is False


def test_a_shard_that_leads_to_a_closed_file_of_root_is_not_merged_into_an_open_one(
    shards: list[Path], ledger: Ledger, reachable: Path, as_user: AsUser
) -> None:
    private = reachable / "private.gguf"
    # The same header, other tensors: only the bytes tell.
    private.write_bytes(SHARDS[1][: -len(SECRET)] + SECRET)
    private.chmod(0o600)
    link = shards[0].parent / "link"
    link.symlink_to(private)
    hard = shards[0].parent / "hard"
    os.link(private, hard)
    give(link)
    swap(as_user, shards[1], link, shards[1], hard)
    wanted = MergeRequest(str(shards[0]), str(shards[0].parent / "merged.gguf"))
    for _attempt in seconds(3):
        attempt(lambda: apply_merge(plan_merge(wanted, ledger), ledger))
        merged = Path(wanted.dest)
        if merged.exists():
            assert SECRET not in merged.read_bytes()
            merged.unlink()
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_consuming_shards_removes_no_file_below_a_directory_that_was_swapped(
    shards: list[Path], ledger: Ledger, canary: Canary, as_user: AsUser
) -> None:
    folder = shards[0].parent / "shards"
    folder.mkdir()
    victims = [canary.path.parent / path.name for path in shards]
    for victim, data in zip(victims, SHARDS):
        victim.write_bytes(data)
    link = shards[0].parent / "link"
    link.symlink_to(canary.path.parent)
    give(folder.parent)
    swap(as_user, folder, link)
    inside = [folder / path.name for path in shards]
    wanted = request(inside, consume=True)
    wanted = MergeRequest(
        wanted.src, str(folder.parent / "merged.gguf"), consume=True, shard_sha256=wanted.shard_sha256
    )
    for _attempt in seconds(3):
        for name in os.listdir(folder.parent):
            if name.startswith((".merged", "merged")):
                (folder.parent / name).unlink(missing_ok=True)
        for real in (folder, link):
            try:
                handle = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except OSError:
                continue
            for path, data in zip(shards, SHARDS):
                with open(os.open(path.name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=handle), "wb") as file:
                    file.write(data)
            os.close(handle)
        attempt(lambda: apply_merge(plan_merge(wanted, ledger), ledger))
    assert [victim.read_bytes() for victim in victims] == list(SHARDS)
    canary.check()


def test_a_file_that_takes_the_place_of_the_merged_one_is_not_recorded_as_verified(
    shards: list[Path], ledger: Ledger, as_user: AsUser
) -> None:
    wanted = request(shards)
    evil = shards[0].parent / "evil"
    evil.write_bytes(b"evil")
    give(evil)
    swap(as_user, wanted.temporary, evil, wanted.dest, evil)
    for _attempt in seconds(3):
        attempt(lambda: apply_merge(plan_merge(wanted, ledger), ledger))
        entry = ledger.lookup(wanted.dest)
        found = Path(wanted.dest)
        if entry is not None:
            status = found.stat()
            assert not entry.is_current(status) or status.st_uid == 0
        for path in (found, Path(wanted.temporary), Path(wanted.journal)):
            path.unlink(missing_ok=True)
        if not evil.exists():
            evil.write_bytes(b"evil")
            give(evil)


def test_pipes_in_the_place_of_models_end_at_once(attackers: Path) -> None:
    pipe = attackers / "model.gguf"
    os.mkfifo(pipe)
    give(pipe)
    with pytest.raises(Problem):
        inspect(str(pipe))
    digest = "a" * 64
    blobs = attackers / "blobs"
    blobs.mkdir()
    os.mkfifo(blobs / f"sha256-{digest}")
    file = {"path": "model.gguf", "size_bytes": 0, "sha256": digest}
    assert local_copies({"files": [file]}, folders=[str(attackers)], ollama_stores=[str(attackers)]) == []


def test_a_closed_file_of_root_is_no_copy_to_be_found_by_another_name(attackers: Path, reachable: Path) -> None:
    private = reachable / "private.gguf"
    private.write_bytes(SECRET)
    private.chmod(0o600)
    os.link(private, attackers / "model.gguf")
    (attackers / "other").mkdir()
    (attackers / "other" / "model.gguf").symlink_to(private)
    give(attackers / "other")
    os.lchown(attackers / "other" / "model.gguf", ATTACKER, ATTACKER)
    file = {"path": "model.gguf", "size_bytes": len(SECRET), "sha256": "a" * 64}
    folders = [str(attackers), str(attackers / "other")]
    assert local_copies({"files": [file]}, folders=folders) == []


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("name", ["partial.lock", "partial.journal", "partial.journal.new", "partial.json.new"])
def test_nothing_that_waits_at_the_names_of_a_download_is_written_to(
    attackers: Path, reachable: Path, name: str, trap: str
) -> None:
    target = reachable / "of-root.conf"
    target.write_bytes(SECRET)
    target.chmod(0o600)
    place = attackers / f"model.gguf.{name}"
    TRAPS[trap](place, target)
    if trap != "hard link":
        give(place)
    places = Places(str(attackers / "model.gguf"))

    def work() -> None:
        hold = acquire(places, shared=False)
        StatusFile(places.status, {}).write(Status("download", 0, 1))
        journal = Journal.open(places.journal) or Journal.create(places.journal, (), "merged", 4, [])
        journal.close()
        hold.release()

    try:
        work()
    except (Problem, OSError):
        pass
    assert target.read_bytes() == SECRET
    assert (target.stat().st_uid, stat.S_IMODE(target.stat().st_mode)) == (0, 0o600)


@pytest.mark.parametrize("trap", ["link", "hard link", "pipe"])
def test_a_rehearsal_overwrites_nothing_through_its_folder(
    attackers: Path, reachable: Path, ledger: Ledger, trap: str
) -> None:
    target = reachable / "of-root.conf"
    target.write_bytes(SECRET)
    target.chmod(0o600)
    folder = attackers / "rehearsal"
    folder.mkdir()
    TRAPS[trap](folder / "rehearsal-m.gguf.new", target)
    os.chown(folder, ATTACKER, ATTACKER)
    file = rehearsal.SparseFile(str(folder / "rehearsal-m.gguf"), b"header", 100)
    with pytest.raises(Problem):
        rehearsal.write(str(folder), [file], ledger)
    assert target.read_bytes() == SECRET


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_the_files_of_a_merge_have_their_modes_under_every_umask(shards: list[Path], ledger: Ledger, mask: int) -> None:
    wanted = request(shards)
    before = os.umask(mask)
    try:
        apply_merge(plan_merge(wanted, ledger), ledger)
        StatusFile(wanted.status, {}).write(Status("merge", 0, 1))
        rehearsal.write(str(Path(ledger.directory) / "rehearsal"), [], ledger)
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(os.stat(path).st_mode) for path in (wanted.dest, wanted.status, ledger.path)}
    assert modes == {wanted.dest: 0o444, wanted.status: 0o644, ledger.path: 0o644}
    assert stat.S_IMODE((Path(ledger.directory) / "rehearsal").stat().st_mode) == 0o755
    assert stat.S_IMODE(os.stat(ledger.path + ".lock").st_mode) == 0o600
