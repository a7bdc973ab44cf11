# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host, one download: who holds the lease, who is taken for dead, who gives way."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._transfer import lease as holder


class Clock:
    """A sleep that lets another host's holder do something instead."""

    def __init__(self, places: holder.Places, beats: bool) -> None:
        self.slept = 0.0
        self._places = places
        self._beats = beats

    def __call__(self, seconds: float) -> None:
        self.slept += seconds
        if self._beats:
            other_host(self._places, beat=int(self.slept))


def other_host(places: holder.Places, beat: int) -> None:
    record = {"host": "elsewhere", "boot_id": "b", "pid": 1, "started": 1.0, "beat": beat}
    Path(places.lock).write_text(json.dumps(record).ljust(512), encoding="ascii")


def test_on_a_shared_file_system_a_beating_holder_of_another_host_is_alive(tmp_path: Path) -> None:
    places = holder.Places(str(tmp_path / "m.gguf"))
    other_host(places, beat=0)
    with pytest.raises(holder.Held, match="elsewhere"):
        holder.acquire(places, shared=True, sleep=Clock(places, beats=True))


def test_on_a_shared_file_system_a_silent_holder_of_another_host_is_dead(tmp_path: Path) -> None:
    places = holder.Places(str(tmp_path / "m.gguf"))
    other_host(places, beat=7)
    clock = Clock(places, beats=False)
    hold = holder.acquire(places, shared=True, sleep=clock)
    assert clock.slept >= holder.LEASE_SECONDS
    hold.release()
    assert list(tmp_path.iterdir()) == []


def dead_process() -> int:
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


def test_a_dead_holder_of_this_host_costs_no_wait_on_a_shared_file_system(tmp_path: Path) -> None:
    places = holder.Places(str(tmp_path / "m.gguf"))
    record = {**holder.this_process().__dict__, "pid": dead_process(), "beat": 3}
    Path(places.lock).write_text(json.dumps(record), encoding="ascii")
    clock = Clock(places, beats=False)
    holder.acquire(places, shared=True, sleep=clock).release()
    assert clock.slept < holder.LEASE_SECONDS


def test_a_holder_of_the_same_name_on_another_machine_is_not_taken_for_a_dead_one_of_this(tmp_path: Path) -> None:
    places = holder.Places(str(tmp_path / "m.gguf"))
    record = {**holder.this_process().__dict__, "boot_id": "another", "pid": dead_process(), "beat": 3}
    Path(places.lock).write_text(json.dumps(record), encoding="ascii")
    clock = Clock(places, beats=False)
    holder.acquire(places, shared=True, sleep=clock).release()
    assert clock.slept >= holder.LEASE_SECONDS


def test_who_works_on_it_is_told_across_hosts(tmp_path: Path) -> None:
    places = holder.Places(str(tmp_path / "m.gguf"))
    other_host(places, beat=0)
    alive = holder.current_holder(places, shared=True, sleep=Clock(places, beats=True))
    assert str(alive) == "process 1 on elsewhere"
    assert holder.current_holder(places, shared=True, sleep=Clock(places, beats=False)) is None
    assert holder.current_holder(places, shared=False) is None


def test_a_holder_that_stood_still_too_long_gives_way_and_takes_nothing_from_its_successor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holder, "BEAT_SECONDS", 0.05)
    places = holder.Places(str(tmp_path / "m.gguf"))
    hold = holder.acquire(places, shared=True, sleep=lambda seconds: None)
    hold.check()
    other_host(places, beat=1)

    def is_lost() -> bool:
        try:
            hold.check()
        except holder.Held as held:
            return str(held.holder) == "process 1 on elsewhere"
        return False

    while not is_lost():
        time.sleep(0.02)
    hold.release()
    assert Path(places.lock).exists()


def test_a_lock_that_is_released_while_another_host_watches_it_is_taken_anew(tmp_path: Path) -> None:
    places = holder.Places(str(tmp_path / "m.gguf"))
    other_host(places, beat=1)
    hold = holder.acquire(
        places,
        shared=True,
        sleep=lambda seconds: Path(places.lock).unlink() if seconds > holder.SETTLE_SECONDS else None,
    )
    assert hold.is_ours()
    hold.release()
    assert list(tmp_path.iterdir()) == []


def test_on_a_disk_of_its_own_a_second_run_is_told_who_works_on_it(tmp_path: Path) -> None:
    places = holder.Places(str(tmp_path / "m.gguf"))
    hold = holder.acquire(places, shared=False)
    with pytest.raises(holder.Held) as caught:
        holder.acquire(places, shared=False)
    assert caught.value.holder == holder.current_holder(places, shared=False)
    assert caught.value.holder is not None
    assert caught.value.holder.pid == holder.this_process().pid
    hold.release()
    holder.acquire(places, shared=False).release()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_holder_leaves_a_lock_that_the_next_run_takes_at_once(tmp_path: Path) -> None:
    places = holder.Places(str(tmp_path / "m.gguf"))
    record = {**holder.this_process().__dict__, "pid": dead_process(), "beat": 3}
    Path(places.lock).write_text(json.dumps(record), encoding="ascii")
    clock = Clock(places, beats=False)
    hold = holder.acquire(places, shared=False, sleep=clock)
    assert clock.slept == 0
    assert hold.is_ours()
    hold.release()


def test_a_wish_to_stop_is_for_the_holder_that_it_was_made_to(tmp_path: Path) -> None:
    places = holder.Places(str(tmp_path / "m.gguf"))
    Path(places.stop).touch()
    hold = holder.acquire(places, shared=False)
    assert not hold.stop_requested()
    Path(places.stop).touch()
    assert hold.stop_requested()
    hold.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": 1}', '{"host": "a", "pid": "x"}', "\0" * 512])
def test_a_lock_that_tells_nothing_is_nobodys(content: str, tmp_path: Path) -> None:
    places = holder.Places(str(tmp_path / "m.gguf"))
    Path(places.lock).write_text(content, encoding="ascii")
    clock = Clock(places, beats=False)
    holder.acquire(places, shared=True, sleep=clock).release()
    assert clock.slept < holder.LEASE_SECONDS
