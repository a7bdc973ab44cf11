# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are full, read-only, slow to sync or hold something already."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger, LedgerError
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import download, removal
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk import files as disk
from ansible_collections.gguf.fleet.tests.builders.download import (
    MIB,
    Model,
    another,
    leftovers,
    request,
    served,
)
from ansible_collections.gguf.fleet.tests.doubles.hub.server import HubDouble


@contextlib.contextmanager
def small_disk(place: Path, size_bytes: int, *options: str) -> Iterator[Path]:
    """A file system of its own, so long as this user may mount one."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join((f"size={size_bytes}", *options)), "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_too_small_is_refused_before_a_tensor_moves(
    model: Model, ledger: Ledger, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 10 * MIB) as place, served(model) as hub:
        with pytest.raises(TransferError) as caught:
            download.present(request(model.lock(hub), place / "m.gguf"), ledger)
        assert caught.value.reason == "disk-full"
        assert f"{len(model.merged):,}"[:5] in caught.value.problem
        assert hub.bytes_sent() < 64 * 1024
        assert not (place / "m.gguf.partial").exists()


def test_check_mode_says_that_a_disk_is_too_small(model: Model, ledger: Ledger, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 10 * MIB) as place, served(model) as hub:
        with pytest.raises(TransferError) as caught:
            download.present(request(model.lock(hub), place / "m.gguf"), ledger, check=True)
        assert caught.value.reason == "disk-full"
        assert list(place.iterdir()) == []


def two_requests(model: Model, hub: HubDouble, *dests: Path) -> List[download.Request]:
    names = ("first", "second")
    return [replace(request(model.lock(hub), dest), name=name) for name, dest in zip(names, dests)]


@pytest.mark.parametrize("check", [True, False])
def test_models_that_fit_alone_and_not_together_are_refused_before_a_byte_moves(
    check: bool, model: Model, ledger: Ledger, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 30 * MIB) as place, served(model) as hub:
        wanted = two_requests(model, hub, place / "a" / "m.gguf", place / "b" / "m.gguf")
        wanted[1] = replace(wanted[1], lock=another(wanted[1].lock))
        with pytest.raises(TransferError) as caught:
            download.present_all(wanted, ledger, check=check)
        assert (caught.value.reason, hub.bytes_sent(), list(place.iterdir())) == ("disk-full", 0, [])
        said = caught.value.problem
        assert f"{place} has 30.0 MiB free" in said
        assert said.count("18.0 MiB (") == 2 and "first 18.0 MiB" in said and "second 18.0 MiB" in said
        assert "6.0 MiB are missing" in said

        # What is there already, or is there by half, is not counted again.
        download.present(wanted[0], ledger, check=False)
        with pytest.raises(TransferError, match="second 18") as caught:
            download.present_all(wanted, ledger, check=check)
        assert "first" not in caught.value.problem


def test_two_file_systems_are_looked_at_each_for_itself(model: Model, ledger: Ledger, tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "one", 20 * MIB) as one,
        small_disk(tmp_path / "two", 20 * MIB) as two,
        served(model) as hub,
    ):
        assert all(
            isinstance(answer, download.Result)
            for answer in download.present_all(two_requests(model, hub, one / "m.gguf", two / "m.gguf"), ledger)
        )
        again = two_requests(model, hub, one / "again.gguf", two / "again.gguf")
        again = [replace(wanted, lock=another(wanted.lock)) for wanted in again]
        with pytest.raises(TransferError) as caught:
            download.present_all(again, ledger)
        lines = caught.value.problem.splitlines()
        assert [line.split(" has ")[0] for line in lines] == [str(one), str(two)]
        assert "first" in lines[0] and "second" in lines[1]
        (one / "m.gguf").unlink()
        with pytest.raises(TransferError) as caught:
            download.present_all(again, ledger)
        assert str(one) not in caught.value.problem
        assert not (one / "again.gguf").exists(), "where one does not fit, nothing is fetched"


def test_two_names_of_one_quant_take_the_disk_once_and_two_quants_of_one_path_are_refused(
    model: Model, ledger: Ledger, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 20 * MIB) as place, served(model) as hub:
        first, second = two_requests(model, hub, place / "m.gguf", place / "m.gguf")
        other = replace(second, lock=model.lock(hub, digests=False))
        with pytest.raises(TransferError, match="first and second are different files and both go to"):
            download.present_all([first, other], ledger)
        answers = download.present_all([first, second], ledger)
        assert [answer.changed for answer in answers if isinstance(answer, download.Result)] == [True, False]


def test_a_disk_that_fits_to_the_block_is_enough(model: Model, ledger: Ledger, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", len(model.merged) + 256 * 1024) as place, served(model) as hub:
        download.present(request(model.lock(hub), place / "m.gguf"), ledger)
        assert (place / "m.gguf").read_bytes() == model.merged


def test_a_read_only_directory_is_named(model: Model, ledger: Ledger, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64 * MIB, "ro") as place, served(model) as hub:
        with pytest.raises(TransferError) as caught:
            download.present(request(model.lock(hub), place / "m.gguf"), ledger)
        assert caught.value.reason == "not-writable"
        assert str(place) in caught.value.problem
        assert hub.bytes_sent() == 0


@pytest.mark.parametrize("after", [0, 1, 7, 16])
def test_a_disk_that_fills_up_on_the_way_ends_in_an_error_and_is_continued(
    after: int, model: Model, dest: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    original = os.pwrite

    def full(descriptor: int, data: Any, offset: int) -> int:
        nonlocal written
        if len(data) > 512 * 1024:
            written += 1
            if written > after:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(descriptor, data, offset)

    with served(model) as hub:
        wanted = request(model.lock(hub), dest)
        with monkeypatch.context() as patched:
            patched.setattr(disk.os, "pwrite", full)
            with pytest.raises(TransferError) as caught:
                download.present(wanted, ledger)
        assert caught.value.reason == "disk-full"
        assert not dest.exists()
        result = download.present(wanted, ledger)
    assert result.bytes_moved <= model.size_bytes - after * MIB // 2
    assert dest.read_bytes() == model.merged
    assert leftovers(dest) == []


def test_a_failing_sync_is_an_error_and_never_a_finished_file(
    model: Model, dest: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with served(model) as hub, monkeypatch.context() as patched:
        patched.setattr(disk.os, "fdatasync", broken)
        with pytest.raises(TransferError) as caught:
            download.present(request(model.lock(hub), dest), ledger)
    assert caught.value.reason == "disk-error"
    assert not dest.exists()


def test_a_file_system_without_preallocation_works(
    model: Model, dest: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "preallocate", os.ftruncate)
    with served(model) as hub:
        download.present(request(model.lock(hub), dest), ledger)
    assert dest.read_bytes() == model.merged


def test_a_file_that_is_right_but_unknown_to_the_ledger_is_taken_without_fetching_it_again(
    model: Model, dest: Path, ledger: Ledger
) -> None:
    dest.parent.mkdir()
    dest.write_bytes(model.merged)
    with served(model) as hub:
        result = download.present(request(model.lock(hub), dest), ledger)
        assert hub.bytes_sent() < 64 * 1024
        assert not result.changed
        assert not download.present(request(model.lock(hub), dest), ledger).changed
    assert leftovers(dest) == []


def test_a_wrong_file_in_the_place_is_replaced_only_when_the_right_one_is_proved(
    model: Model, dest: Path, ledger: Ledger
) -> None:
    dest.parent.mkdir()
    wrong = bytearray(model.merged)
    wrong[5 * MIB] ^= 1
    dest.write_bytes(wrong)
    with served(model) as hub:
        lock = model.lock(hub)
        lock["files"][0]["sha256"] = "0" * 64
        with pytest.raises(TransferError):
            download.present(request(lock, dest), ledger)
        assert dest.read_bytes() == wrong
        assert download.present(request(model.lock(hub), dest), ledger).changed
    assert dest.read_bytes() == model.merged


def test_a_merged_copy_elsewhere_on_the_host_is_proved_and_copied(
    model: Model, dest: Path, ledger: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "tiny.gguf").write_bytes(model.merged)
    with served(model) as hub:
        wanted = request(model.lock(hub), dest, find_in=[str(tmp_path / "old")])
        foretold = download.present(wanted, ledger, check=True)
        result = download.present(wanted, ledger)
        assert hub.bytes_sent() < 64 * 1024
        assert not download.present(wanted, ledger).changed
    assert dest.read_bytes() == model.merged
    assert "old/tiny.gguf" in foretold.actions[0]
    assert foretold.bytes_to_move == result.bytes_moved == len(model.merged)
    assert "old/tiny.gguf" in result.actions[0]
    assert dest.stat().st_ino != (tmp_path / "old" / "tiny.gguf").stat().st_ino


def test_shards_found_on_the_host_are_used_and_a_wrong_one_is_fetched(
    model: Model, dest: Path, ledger: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    for path, content in zip(model.paths, model.shards):
        (tmp_path / "old" / Path(path).name).write_bytes(content)
    wrong = tmp_path / "old" / Path(model.paths[1]).name
    wrong.write_bytes(model.shards[1][:MIB] + bytes(len(model.shards[1]) - MIB))
    with served(model) as hub:
        wanted = request(model.lock(hub), dest, find_in=[str(tmp_path / "old")])
        foretold = download.present(wanted, ledger, check=True)
        assert sorted(foretold.sources.values()) == sorted(map(len, model.shards))
        download.present(wanted, ledger)
        assert hub.bytes_sent(model.paths[1]) >= len(model.shards[1]) - MIB
        assert hub.bytes_sent(model.paths[0]) == hub.bytes_sent(model.paths[2]) == 0
    assert dest.read_bytes() == model.merged


def test_a_directory_on_another_file_system_is_as_good_as_one_here(
    model: Model, dest: Path, ledger: Ledger, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 64 * MIB) as place:
        share = place / model.paths[0]
        share.parent.mkdir(parents=True)
        for path, content in zip(model.paths, model.shards):
            (place / path).write_bytes(content)
        download.present(request(model.lock(), dest, find_in=[str(place)]), ledger)
        download.present(request(model.lock(), place / "models" / "tiny.gguf"), ledger)
        assert (place / "models" / "tiny.gguf").read_bytes() == model.merged
    assert dest.read_bytes() == model.merged


class FullAfter:
    """A call of the operating system for which the disk below a directory is full after so many of them."""

    def __init__(self, call: str, place: Path, calls: int) -> None:
        self._call = call
        self._original: Any = getattr(os, call)
        self._place = str(place)
        self._left = calls

    @property
    def was_full(self) -> bool:
        return self._left < 0

    def __call__(self, target: Any, *arguments: Any, **options: Any) -> Any:
        if self._takes_room(target, *arguments, **options):
            self._left -= 1
            if self._left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._original(target, *arguments, **options)

    def _takes_room(self, target: Any, *arguments: Any, **options: Any) -> bool:
        if self._call == "open" and not arguments[0] & os.O_CREAT:
            return False
        name = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else str(target)
        folder = options.get("dir_fd", options.get("src_dir_fd"))
        if folder is not None:
            name = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)
        return name.startswith(self._place)


@pytest.mark.parametrize("call", ["open", "pwrite", "ftruncate", "fsync", "fdatasync", "rename"])
def test_a_disk_that_is_full_at_any_call_ends_in_an_error_and_leaves_nothing_wrong(
    call: str, model: Model, dest: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(model) as hub:
        wanted = request(model.lock(hub), dest)
        for calls in (0, 1, 2, 3, 5, 8, 20):
            full = FullAfter(call, dest.parent, calls)
            with monkeypatch.context() as patched:
                patched.setattr(os, call, full)
                try:
                    download.present(wanted, ledger)
                except TransferError as error:
                    assert error.reason == "disk-full", error
                    assert not dest.exists() or dest.read_bytes() == model.merged
            download.present(wanted, ledger)
            assert dest.read_bytes() == model.merged
            assert leftovers(dest) == []
            removal.absent(wanted, ledger)
            assert calls or full.was_full, f"{call} is never called"


def test_a_ledger_that_cannot_be_written_is_said_before_anything_moves(
    model: Model, dest: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 64 * 1024, "ro") as place, served(model) as hub:
        with pytest.raises(LedgerError):
            download.present(request(model.lock(hub), dest), Ledger(str(place / "ledger.json")))
        assert hub.bytes_sent() == 0


def test_results_are_readable_for_all_and_writable_for_none(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model) as hub:
        download.present(request(model.lock(hub), dest), ledger)
    assert dest.stat().st_mode & 0o777 == 0o444
