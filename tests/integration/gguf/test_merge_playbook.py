# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""gguf_merge as a playbook runs it: live progress, check mode, the task's own async, a controller that goes away."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import pytest

from ansible_collections.gguf.fleet.tests.builders.gguf import (
    MODEL_KV,
    Tensor,
    header,
    pad,
    shard_name,
    split_kv,
)
from ansible_collections.gguf.fleet.tests.integration.play import Play, held_still, next_line, rest_of, wait_until

MIB = 1 << 20
# Takes a good part of a second to copy and hash, which is time enough to stop the process in the midst of it.
TENSOR = 160 * MIB
SHARDS = 2
SIZE = SHARDS * TENSOR


@pytest.fixture(name="play")
def _play(tmp_path: Path) -> Play:
    folder = tmp_path / "shards"
    folder.mkdir()
    for index in range(SHARDS):
        kv = {**(MODEL_KV if index == 0 else {}), **split_kv(index, SHARDS, SHARDS)}
        content = pad(header(kv, [Tensor(f"blk.{index}.weight", (TENSOR,), "I8")]))
        path = folder / shard_name(index, SHARDS)
        path.write_bytes(content)
        os.truncate(path, len(content) + TENSOR)
    dest = tmp_path / "merged" / "model.gguf"
    dest.parent.mkdir()
    return Play(tmp_path, "gguf.fleet.gguf_merge", dest, src=str(folder / shard_name(0, SHARDS)))


@contextmanager
def merge_held_still(play: Play) -> Iterator[None]:
    with held_still(play.dest.with_name(".model.gguf.merge-status")):
        yield


def files(play: Play) -> set[str]:
    return {path.name for path in play.dest.parent.iterdir()}


def test_a_merge_and_its_verification_show_themselves_live(play: Play) -> None:
    assert "changed=1" in play.run("--check")
    running = play.start()
    with merge_held_still(play):
        assert ": merge " in next_line(running, play.is_progress)
        assert not play.dest.exists()
    assert "changed=1" in rest_of(running)
    assert play.dest.stat().st_size > SIZE
    assert files(play) == {"model.gguf"}

    again = play.run()
    assert "changed=0" in again
    assert play.progress_lines(again) == []

    running = play.start("-v", verify="full")
    with merge_held_still(play):
        line = next_line(running, play.is_progress)
        assert ": verify " in line
        assert " so far)" in line
    assert "changed=0" in rest_of(running)
    assert files(play) == {"model.gguf"}


@pytest.mark.parametrize("quiet", ["variable", "no_log"])
def test_it_is_quiet_when_asked_to_be(play: Play, quiet: str) -> None:
    play.variables["models_progress"] = quiet != "variable"
    running = play.start("-vvv", task={"no_log": quiet == "no_log"})
    with merge_held_still(play):
        seen = [next_line(running, lambda line: "head -c" in line and "EXEC" in line) for _poll in range(3)]
    output = rest_of(running)
    assert "changed=1" in output
    assert play.progress_lines("".join(seen) + output) == []


def test_the_tasks_own_async_still_works(play: Play) -> None:
    assert "changed=1" in play.run(task={"async": 60, "poll": 1})
    assert files(play) == {"model.gguf"}


def test_an_interrupted_playbook_does_not_interrupt_the_merge_and_the_next_one_waits_for_it(play: Play) -> None:
    running = play.start()
    with merge_held_still(play):
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
        attached = play.start()
        assert ": merge " in next_line(attached, play.is_progress)
        assert files(play) == {".model.gguf.merging", ".model.gguf.merge-journal", ".model.gguf.merge-status"}
    output = rest_of(attached)
    assert "changed=1" in output
    assert files(play) == {"model.gguf"}
    assert "changed=0" in play.run()


def test_a_lost_connection_does_not_end_the_merge(play: Play) -> None:
    cut = play.breakable_connection()
    running = play.start()
    with merge_held_still(play):
        next_line(running, play.is_progress)
        cut.touch()
        wait_until(lambda: cut.read_text(encoding="utf-8").count("tried") >= 2)
        cut.unlink()
    assert "changed=1" in rest_of(running)
    assert files(play) == {"model.gguf"}


def test_a_failure_on_the_host_is_the_tasks_failure(play: Play) -> None:
    output = play.run(checksum="0" * 64)
    assert "failed=1" in output
    assert "Check that the shards and the expected checksum belong together." in output
    assert files(play) == set()
