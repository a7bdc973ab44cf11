# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord and the script of earlier versions as managers of one service, by what they noted and what is asked."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._host import processes
from ansible_collections.gguf.fleet.plugins.module_utils._service import old_script, supervised
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem


class Host:
    """A host's files in a folder, and the answers of its programs; what they were asked is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []

    def run(self, argv: Sequence[str]) -> tuple[int, str]:
        words = " ".join([os.path.basename(argv[0]), *argv[1:]])
        self.asked.append(words)
        if words == "supervisorctl start demo" and words not in self.answers:
            self.note()
        return self.answers.get(words, (0, ""))

    def note(self, **changed: object) -> None:
        """What run-service would, of a process that is alive: ours."""
        pid = os.getpid()
        noted = {"pid": pid, "pid_start": processes.start_time(pid), "starts": 3, "runs": 1, "lasted": 2.0, **changed}
        (self.folder / "demo.start").write_text(json.dumps(noted))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    for name in ("CONTROL", "DAEMON", "RUN_SERVICE"):
        program = tmp_path / str(getattr(supervised, name)).rsplit("/", 1)[1]
        program.touch()
        monkeypatch.setattr(supervised, name, str(program))
    for place, name in ((supervised, "PROGRAMS"), (supervised, "RUN"), (supervised, "LOGS"), (old_script, "RUN")):
        monkeypatch.setattr(place, name, str(tmp_path))
    monkeypatch.setattr(supervised, "program_path", lambda name: str(tmp_path / f"{name}.conf"))
    monkeypatch.setattr(old_script, "UNITS", str(tmp_path / "services"))
    (tmp_path / "demo.conf").touch()
    return Host(tmp_path)


def server(host: Host) -> supervised.Supervisord:
    return supervised.Supervisord("demo", host.run)


def test_what_run_service_noted_is_what_the_service_does(host: Host) -> None:
    assert server(host).state().active is False
    host.note()
    state = server(host).state()
    assert (state.known, state.active, state.pid, state.restarts, state.failure) == (True, True, os.getpid(), 2, "")
    host.note(runs=0)
    state = server(host).state()
    assert (state.active, state.pid, state.restarts, state.failure) == (False, 0, 2, "it ran for 2 s")


@pytest.mark.parametrize("noted", [{"pid_start": 1}, {"pid": "x"}, {"starts": None}])
def test_a_recycled_pid_or_a_damaged_note_is_not_the_service(host: Host, noted: dict[str, object]) -> None:
    host.note(**noted)
    assert server(host).state().active is False


def test_a_start_adds_the_program_and_does_not_wait_for_an_old_pause(host: Host) -> None:
    host.note(runs=0)
    server(host).command("start")
    assert host.asked == [
        "supervisorctl pid",
        "supervisorctl stop demo",
        "run-service --end demo",
        "supervisorctl pid",
        "supervisorctl update demo",
        "supervisorctl start demo",
    ]


def test_supervisord_is_started_where_it_does_not_run(host: Host) -> None:
    host.answers["supervisorctl pid"] = (1, "unix:///run/gguf-fleet/supervisor.sock no such file")
    server(host).command("restart")
    assert host.asked == [
        "supervisorctl pid",
        "run-service --end demo",
        "supervisorctl pid",
        "supervisord",
        "supervisorctl start demo",
    ]


def test_a_start_that_fails_is_said_with_the_last_words(host: Host) -> None:
    (host.folder / "demo.log").write_text("no kernel image is available\n")
    host.answers["supervisorctl start demo"] = (1, "demo: ERROR (spawn error)")
    with pytest.raises(ServiceProblem, match=r"spawn error\)\. Its last words: no kernel image is available"):
        server(host).command("start")


def test_with_its_last_program_supervisord_ends(host: Host) -> None:
    host.answers["supervisorctl pid"] = (0, f"{os.getpid()}\n")
    (host.folder / "demo.conf").rename(host.folder / "other.conf")
    server(host).command("daemon-reload")
    assert "supervisorctl shutdown" not in host.asked
    (host.folder / "other.conf").unlink()
    server(host).command("daemon-reload")
    assert host.asked[-1] == "supervisorctl shutdown"


def test_services_of_both_ways_are_found(host: Host) -> None:
    (host.folder / "llama-cpp-b.conf").touch()
    (host.folder / "services").mkdir()
    (host.folder / "services/llama-cpp-a.service").touch()
    assert supervised.services("llama-cpp-") == ["llama-cpp-a", "llama-cpp-b"]
    assert supervised.services("") == ["demo", "llama-cpp-a", "llama-cpp-b"]


def run_by_the_script(host: Host, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    (host.folder / "services").mkdir()
    (host.folder / "services/demo.service").touch()
    pid = os.getpid()
    noted = {"supervisor": pid, "supervisor_start": processes.start_time(pid), "pid": pid, "restarts": 1}
    (host.folder / "demo.json").write_text(json.dumps({**noted, "pid_start": processes.start_time(pid)}))
    monkeypatch.setattr(processes, "describe", lambda pid: processes.Process(pid, "python3", command))


def test_a_service_of_the_script_is_seen_and_its_script_goes_with_the_last_one(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_by_the_script(host, monkeypatch, "/usr/bin/python3 /usr/local/lib/gguf-fleet/service start demo")
    state = server(host).state()
    assert (state.active, state.pid, state.restarts) == (True, os.getpid(), 1)
    assert old_script.SCRIPT in old_script.files("demo")
    (host.folder / "services/other.service").touch()
    assert old_script.SCRIPT not in old_script.files("demo")
    old_script.refuse_entry_point("demo")


def test_a_script_that_is_the_container_s_entry_point_is_not_ended(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    run_by_the_script(host, monkeypatch, "/usr/bin/python3 /usr/local/lib/gguf-fleet/service run demo")
    with pytest.raises(ServiceProblem, match="entry point") as refused:
        old_script.refuse_entry_point("demo")
    assert "supervisord -n" in refused.value.remedy
