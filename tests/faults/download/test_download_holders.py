# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host, one download: who waits for whom, who takes over from whom, and how a transfer is ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import download, removal
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Status, read_status
from ansible_collections.gguf.fleet.tests.builders.download import (
    MIB,
    Model,
    leftovers,
    request,
    served,
    spawn,
)
from ansible_collections.gguf.fleet.tests.doubles.hub.faults import Fault

PACE = Fault("slow", bytes_per_second=3_000_000)


def wait_for(what: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def outcome(child: subprocess.Popen[str]) -> Dict[str, Any]:
    text, _errors = child.communicate(timeout=60)
    answer: Dict[str, Any] = json.loads(text)
    return answer


def test_two_runs_with_different_homes_fetch_once(model: Model, dest: Path, ledger: Ledger, tmp_path: Path) -> None:
    with served(model, PACE) as hub:
        wanted = request(model.lock(hub), dest)
        children = [spawn(wanted, ledger, home=tmp_path / f"home{number}") for number in range(2)]
        answers = [outcome(child) for child in children]
        assert hub.bytes_sent() == model.size_bytes
    assert sorted(answer["bytes_moved"] for answer in answers) == [0, model.size_bytes]
    assert dest.read_bytes() == model.merged


def test_a_second_run_shows_the_first_ones_progress(model: Model, dest: Path, ledger: Ledger) -> None:
    seen: List[Status] = []
    with served(model, PACE) as hub:
        wanted = request(model.lock(hub), dest)
        child = spawn(wanted, ledger)
        wait_for(lambda: hub.bytes_sent() > MIB)
        result = download.present(wanted, ledger, tick=seen.append)
        outcome(child)
    assert result.changed
    assert any(f"process {child.pid}" in status.message for status in seen)


def test_the_run_that_waited_takes_over_when_the_first_one_is_killed(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, PACE) as hub:
        wanted = request(model.lock(hub), dest)
        child = spawn(wanted, ledger)
        wait_for(lambda: hub.bytes_sent() > 2 * MIB)
        results: List[download.Result] = []
        waiting = threading.Thread(target=lambda: results.append(download.present(wanted, ledger)))
        waiting.start()
        time.sleep(0.7)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        waiting.join(60)
    assert results[0].changed
    assert results[0].bytes_moved < model.size_bytes
    assert dest.read_bytes() == model.merged


def test_stopped_ends_a_transfer_and_keeps_what_it_fetched(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, PACE) as hub:
        wanted = request(model.lock(hub), dest)
        child = spawn(wanted, ledger)
        wait_for(lambda: hub.bytes_sent() > 4 * MIB)
        assert removal.stopped(wanted, check=True).changed
        assert removal.stopped(wanted).changed
        assert outcome(child)["reason"] == "stopped"
        assert not removal.stopped(wanted).changed
        assert not dest.exists()
        before = hub.bytes_sent()
        hub.clear_faults()
        result = download.present(wanted, ledger)
    assert result.bytes_moved < model.size_bytes - before + 8 * MIB
    assert dest.read_bytes() == model.merged


def test_of_several_downloads_a_stopped_one_ends_the_whole_and_the_next_run_fetches_all(
    model: Model, dest: Path, ledger: Ledger
) -> None:
    with served(model, PACE) as hub:
        first, second = (request(model.lock(hub), dest.with_name(name)) for name in ("a.gguf", "b.gguf"))
        answers: List[Any] = []
        running = threading.Thread(target=lambda: answers.extend(download.present_all([first, second], ledger)))
        running.start()
        wait_for(lambda: hub.bytes_sent() > 4 * MIB)
        assert removal.stopped(first).changed
        running.join(60)
        assert [answer.reason for answer in answers] == ["stopped", "stopped"]
        assert "b.gguf was not begun" in answers[1].problem
        assert not [name for name in leftovers(dest) if name.startswith("b.")]
        hub.clear_faults()
        assert all(answer.changed for answer in download.present_all([first, second], ledger))  # type: ignore[union-attr]
    assert Path(first.dest).read_bytes() == Path(second.dest).read_bytes() == model.merged


def test_a_file_of_a_known_name_stops_it_too(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, PACE) as hub:
        child = spawn(request(model.lock(hub), dest), ledger)
        wait_for(lambda: hub.bytes_sent() > 4 * MIB)
        dest.with_name("tiny.gguf.partial.stop").touch()
        assert outcome(child)["reason"] == "stopped"
    assert leftovers(dest) == ["tiny.gguf.partial", "tiny.gguf.partial.journal", "tiny.gguf.partial.json"]


def test_absent_removes_the_file_and_every_left_over(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, PACE) as hub:
        wanted = request(model.lock(hub), dest)
        child = spawn(wanted, ledger)
        wait_for(lambda: hub.bytes_sent() > 4 * MIB)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        assert leftovers(dest)
        assert removal.absent(wanted, ledger, check=True).changed
        assert leftovers(dest)
        assert removal.absent(wanted, ledger).changed
        assert list(dest.parent.iterdir()) == []
        assert not removal.absent(wanted, ledger).changed

        hub.clear_faults()
        download.present(wanted, ledger)
        removal.absent(wanted, ledger)
    assert list(dest.parent.iterdir()) == []
    assert ledger.lookup(str(dest)) is None


def test_the_status_file_tells_other_programs_how_far_it_is(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, PACE) as hub:
        wanted = request(model.lock(hub), dest)
        child = spawn(wanted, ledger)
        wait_for(lambda: (read_status(wanted.places.status) or {}).get("phase") == "download")
        content = read_status(wanted.places.status)
        removal.stopped(wanted)
        outcome(child)
    assert content is not None
    assert content["bytes_total"] == model.size_bytes
    assert content["holder"]["pid"] == child.pid
