# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of supervisord's programs, kept in `units/` as that of units is, and the pause that run-service makes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import environment, run_service, supervisord
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.tests.unit.plugins.module_utils._service.test_service_systemd import SERVICES, UNITS


@pytest.mark.parametrize("name", ["ollama_gpu_safe", "llama_cpp_strict"])
def test_a_program_is_byte_for_byte_the_one_that_hosts_have(name: str) -> None:
    assert supervisord.program(SERVICES[name]) == (UNITS / f"{name}.program.conf").read_text()
    assert supervisord.settings(SERVICES[name]) == (UNITS / f"{name}.program.json").read_text()


def test_without_hardening_nothing_is_taken_and_without_cards_nothing_runs_before() -> None:
    told = json.loads(supervisord.settings(SERVICES["ollama_off_without_gpus"]))
    assert (told["umask"], told["no_new_privileges"], told["before"]) == ("0022", False, [])


@pytest.mark.parametrize("name", ["", "-n", "a b", "a:b", "a]", "a%", "../a", "a\n"])
def test_a_name_that_is_none_of_a_program_is_refused(name: str) -> None:
    with pytest.raises(ServiceProblem, match="cannot be the name of a service"):
        supervisord.program(dataclasses.replace(SERVICES["ollama_gpu_safe"], name=name))


def test_run_service_reads_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_service, "PROGRAMS", str(tmp_path))
    service = SERVICES["llama_cpp_strict"]
    (tmp_path / f"{service.name}.json").write_text(supervisord.settings(service))
    assert tuple(run_service.read_settings(service.name)["command"]) == service.command
    variables = {"A": 'a "quoted" $word \\', "B": "%(ENV_A)s ; #", "C": ""}
    (tmp_path / "env").write_text(environment.render(variables))
    assert run_service.environment_file(str(tmp_path / "env")) == variables


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"command": []}', '{"command": 1}'])
def test_settings_that_are_damaged_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(run_service, "PROGRAMS", str(tmp_path))
    (tmp_path / "demo.json").write_text(text)
    with pytest.raises(run_service.StartProblem, match="cannot be read"):
        run_service.read_settings("demo")


RUNS: list[tuple[str, dict[str, Any], float]] = [
    ("the first start", {}, 0),
    ("a crash of the first start", {"pause": 0.0, "runs": 1, "since": 95.0}, 3),
    ("a second crash", {"pause": 3.0, "runs": 1, "since": 95.0}, 6),
    ("many crashes", {"pause": 48.0, "runs": 1, "since": 95.0}, 60),
    ("a crash after a minute", {"pause": 48.0, "runs": 1, "since": 40.0}, 0),
    ("a pause that was cut short", {"pause": 60.0, "runs": 0, "since": 1.0}, 60),
]


@pytest.mark.parametrize(("before", "pause"), [run[1:] for run in RUNS], ids=[run[0] for run in RUNS])
def test_the_pause_doubles_up_to_a_minute_and_ends_with_a_minute_of_health(before: Any, pause: float) -> None:
    assert run_service.pause_after(before, 100.0, 3.0) == pause
