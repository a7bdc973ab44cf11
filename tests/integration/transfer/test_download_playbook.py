# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""gguf_download as a playbook runs it: progress, check mode, idempotence, an interrupted controller."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any, Dict

import pytest

from ansible_collections.gguf.fleet.tests.builders.download import Model, another, make_model, served
from ansible_collections.gguf.fleet.tests.doubles.hub.faults import Fault
from ansible_collections.gguf.fleet.tests.integration.play import Play, next_line, rest_of, wait_until
from ansible_collections.gguf.fleet.tests.integration.transfer.ssh import ssh_server


@pytest.fixture(name="model", scope="module")
def _model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return make_model(tmp_path_factory.mktemp("hub"))


def make_play(place: Path, lock: Dict[str, Any]) -> Play:
    (place / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    lookup = f"{{{{ lookup('file', '{place}/lock.json') | from_json }}}}"
    return Play(place, "gguf.fleet.gguf_download", place / "models" / "tiny.gguf", lock=lookup)


def test_a_task_tells_what_it_would_do_does_it_shows_it_and_does_it_once(model: Model, tmp_path: Path) -> None:
    with served(model, Fault("slow", bytes_per_second=800_000)) as hub:
        play = make_play(tmp_path, model.lock(hub))
        foretold = play.run("--check", "--diff")
        assert f"({model.size_bytes:,} bytes)" in foretold
        assert "changed=1" in foretold
        assert not play.dest.parent.exists()

        done = play.run()
        assert "changed=1" in done
        assert any("download" in line for line in play.progress_lines(done))
        assert play.dest.read_bytes() == model.merged

        hub.reset_counters()
        assert "changed=0" in play.run()
        assert "changed=0" in play.run("--check")
        assert not hub.requests


def test_it_is_quiet_when_asked_to_be(model: Model, tmp_path: Path) -> None:
    with served(model) as hub:
        play = make_play(tmp_path, model.lock(hub))
        output = play.run("-e", "models_progress=false")
    assert "changed=1" in output
    assert play.progress_lines(output) == []


def test_the_tasks_own_async_still_works(model: Model, tmp_path: Path) -> None:
    with served(model) as hub:
        play = make_play(tmp_path, model.lock(hub))
        output = play.run(task={"async": 60, "poll": 1})
    assert "changed=1" in output
    assert play.dest.read_bytes() == model.merged


def test_an_interrupted_playbook_does_not_interrupt_the_transfer(model: Model, tmp_path: Path) -> None:
    with served(model, Fault("slow", bytes_per_second=600_000)) as hub:
        play = make_play(tmp_path, model.lock(hub))
        first = play.start(connections="4")
        wait_until(lambda: hub.bytes_sent() > 2_000_000)
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
        sent = hub.bytes_sent()
        assert not play.dest.exists()
        time.sleep(1.0)
        assert hub.bytes_sent() > sent
        hub.clear_faults()
        attached = play.run(connections="4")
        assert hub.bytes_sent() == model.size_bytes
    assert "failed=0" in attached
    assert play.dest.read_bytes() == model.merged


def test_of_two_models_what_is_complete_stays_and_what_was_begun_goes_on(model: Model, tmp_path: Path) -> None:
    with served(model, Fault("slow", bytes_per_second=1_000_000)) as hub:
        play = make_play(tmp_path, model.lock(hub))
        first, second = (tmp_path / "models" / name for name in ("first.gguf", "second.gguf"))
        locks = (model.lock(hub), another(model.lock(hub)))
        downloads = [{"lock": lock, "dest": str(path)} for lock, path in zip(locks, (first, second))]
        running = play.start(downloads=downloads, connections="4")
        next_line(running, lambda line: line.startswith(f"localhost: {second}: "))
        wait_until(lambda: hub.bytes_sent() > model.size_bytes + 3_000_000)
        holder = json.loads(second.with_name("second.gguf.partial.json").read_text(encoding="utf-8"))["holder"]["pid"]
        os.kill(holder, signal.SIGKILL)
        running.kill()
        running.communicate(timeout=60)
        wait_until(lambda: not Path(f"/proc/{holder}").exists())
        was = first.stat()
        sent = hub.bytes_sent()
        hub.clear_faults()
        assert "changed=1" in play.run(downloads=downloads, connections="4")
        again = hub.bytes_sent() - sent
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (was.st_ino, was.st_mtime_ns)
    assert again < model.size_bytes, "the second one went on where it was"
    assert first.read_bytes() == second.read_bytes() == model.merged


def test_one_model_that_fails_is_named_and_the_others_are_fetched(model: Model, tmp_path: Path) -> None:
    with served(model, Fault("html", "*00002-of-00003*")) as hub:
        play = make_play(tmp_path, model.lock(hub))
        broken = {"name": "broken", "lock": model.lock(hub), "dest": str(tmp_path / "broken.gguf")}
        again = {"name": "again", "lock": another(model.lock(hub)), "dest": str(tmp_path / "again.gguf")}
        broken["lock"] = another(another(model.lock(hub)))
        whole = {**model.lock(), "quant": "Q2"}
        fine = {"name": "fine", "lock": whole, "dest": str(tmp_path / "fine.gguf")}
        output = play.run(downloads=[broken, fine, again])
    assert "failed=1" in output
    assert output.count("HTML page instead of the file") >= 2
    assert "broken: " in output and "again: " in output
    assert (tmp_path / "fine.gguf").read_bytes() == model.merged


def test_a_second_playbook_stops_the_transfer_of_the_first(model: Model, tmp_path: Path) -> None:
    with served(model, Fault("slow", bytes_per_second=300_000)) as hub:
        play = make_play(tmp_path, model.lock(hub))
        running = play.start(connections="2")
        wait_until(lambda: hub.bytes_sent() > 2_000_000)
        (tmp_path / "other").mkdir()
        other = make_play(tmp_path / "other", model.lock(hub))
        other.dest = play.dest
        assert "changed=1" in other.run("--check", state="stopped")
        assert "changed=1" in other.run(state="stopped")
        output, _errors = running.communicate(timeout=60)
        assert "failed=1" in output
        assert f"`touch {play.dest}.partial.stop` on the host" in output
        assert "stopped on request" in output
        assert "changed=0" in other.run(state="stopped")
        hub.clear_faults()
        assert "changed=1" in play.run()
    assert play.dest.read_bytes() == model.merged


def test_a_lost_connection_does_not_end_the_transfer(model: Model, tmp_path: Path) -> None:
    with served(model, Fault("slow", bytes_per_second=600_000)) as hub:
        play = make_play(tmp_path, model.lock(hub))
        cut = play.breakable_connection()
        running = play.start(connections="4")
        wait_until(lambda: hub.bytes_sent() > 2_000_000)
        cut.touch()
        wait_until(lambda: cut.read_text(encoding="utf-8").count("tried") >= 2)
        cut.unlink()
        assert "changed=1" in rest_of(running)
        assert hub.bytes_sent() == model.size_bytes
    assert play.dest.read_bytes() == model.merged


def test_an_ssh_connection_that_is_killed_does_not_end_the_transfer(model: Model, tmp_path: Path) -> None:
    with served(model, Fault("slow", bytes_per_second=600_000)) as hub, ssh_server(tmp_path) as server:
        play = make_play(tmp_path, model.lock(hub))
        play.variables.update(server.variables)
        environment = {"environment": {"GGUF_FLEET_LEDGER": play.environment["GGUF_FLEET_LEDGER"]}}
        running = play.start("-vv", task=environment, connections="4")
        wait_until(lambda: hub.bytes_sent() > 2_000_000)
        server.cut()
        sent = hub.bytes_sent()
        next_line(running, lambda line: "the connection is lost, the work goes on there" in line)
        wait_until(lambda: hub.bytes_sent() > sent)
        server.start()
        assert "changed=1" in rest_of(running)
        assert hub.bytes_sent() == model.size_bytes
    assert play.dest.read_bytes() == model.merged


def test_a_failure_names_problem_and_remedy(model: Model, tmp_path: Path) -> None:
    with served(model, Fault("html")) as hub:
        play = make_play(tmp_path, model.lock(hub))
        output = play.run()
    assert "failed=1" in output
    assert "HTML page instead of the file" in output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"connections": "40"}, "auto or to 1 to 16"),
        ({"rate_limit": "quick"}, "200MiB/s"),
        ({"time_window": "night"}, "22:00-06:00"),
        ({"dest": "relative/path"}, "absolute path"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    options: Dict[str, str], said: str, model: Model, tmp_path: Path
) -> None:
    play = make_play(tmp_path, model.lock())
    assert said in play.run("--check", **options)
