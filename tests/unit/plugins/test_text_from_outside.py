# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hubs, engines, hosts and headers say reaches no terminal with characters that a terminal obeys."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gpu import nvidia_smi, nvml
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.min_gpus_report import trial_lines
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan_lines import report_lines as plan_lines
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.rehearsal import rehearsal_lines
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.report import report_lines as preflight_lines
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import has_control
from ansible_collections.gguf.fleet.plugins.module_utils._verify.report import report as verify_lines
from ansible_collections.gguf.fleet.plugins.plugin_utils import background

# Clears a terminal (C0 and C1 spellings), sets its title, turns the text around, begins a line of its own.
EVIL = "\x1b[2J\x9b2J\x1b]0;owned\x07\u202eterces\u2028fatal"


def test_a_failure_keeps_its_lines_and_escapes_the_rest() -> None:
    told = failure(Problem(f"The hub said {EVIL}.\nIts last words.", f"Ask {EVIL}."))
    assert set(told) == {"msg", "problem", "remedy"}
    for text in told.values():
        assert not has_control(text.replace("\n", ""))
    assert "\nIts last words. Ask \\x1b[2J" in told["msg"]


def test_a_failure_of_the_system_names_the_file() -> None:
    told = failure(file_problem(FileNotFoundError(2, "No such file or directory", "/srv/\x1b[2J"), "/x", "Look."))
    assert told["msg"] == "/srv/\\x1b[2J: No such file or directory. Look."
    assert failure(file_problem(OSError("broken"), "/x", "Look."))["problem"] == "/x: broken."


def verify() -> list[str]:
    check = {
        "verified": True,
        "url": "http://127.0.0.1:1",
        "engine": "ollama",
        "version": EVIL,
        "model": EVIL,
        "answer": EVIL,
    }
    return verify_lines(["a"], {"a": {"endpoints": [{"open": False}]}}, [{"endpoints": [check]}], [{}], [EVIL])


def preflight() -> list[str]:
    finding = {"subject": "ports", "level": "error", "text": EVIL, "remedy": EVIL, "short": EVIL}
    return preflight_lines({"a": [finding, {**finding, "level": "ok"}]})


def plan() -> list[str]:
    told: dict[str, Any] = {
        "mode": "full",
        "fits": False,
        "num_ctx": 1,
        "num_parallel": 1,
        "reason": EVIL,
        "nearest": EVIL,
        "certainty": {"weights": EVIL, "kv": EVIL, "compute": EVIL, "summary": EVIL, "because": [EVIL]},
        "table": [EVIL],
        "warnings": [EVIL],
    }
    return plan_lines([{"item": {"name": "m", "candidates": []}, "quant": EVIL, "plans": {"a": told}}])


def rehearsal() -> list[str]:
    return rehearsal_lines({"a": [{"model": EVIL, "error": EVIL}]})


def trial() -> list[str]:
    row: dict[str, Any] = {
        "gpus": 1,
        "answered": False,
        "tokens_per_second": None,
        "used_bytes": [],
        "planned_mib": [],
        "plan_fits": True,
    }
    return trial_lines({"a": [{**row, "error": EVIL}]})


@pytest.mark.parametrize("lines", [verify, preflight, plan, rehearsal, trial])
def test_a_report_shows_no_control_characters(lines: Any) -> None:
    told = lines()
    assert any("\\x1b[2J" in line for line in told)
    assert not any(has_control(line) for line in told)


def test_a_line_of_progress_shows_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(background.display, "display", shown.append)
    action = object.__new__(background.BackgroundAction)
    status = '{"phase": "\\u001b[2J", "bytes_done": %s, "bytes_total": 1}'
    for text in (status % 0, "{}", status % '"many"', status % "null"):
        action._show("a", background.Watched(f"/srv/{EVIL}", "/srv/status", seen=text), 1.0)
    # The first tells what becomes of the work after Ctrl-C.
    _explained, line = shown
    assert not any(map(has_control, shown)) and "\\x1b[2J" in line


def test_names_of_processes_and_gpus_come_without_control_characters_from_nvidia_smi() -> None:
    def run(arguments: list[str]) -> tuple[int, str, str]:
        if "--query-gpu" in arguments[0:1][0] if arguments else False:
            row = ["0", "GPU-1", EVIL, *("1" for _field in range(15)), "9.0", "1"]
            return 0, ", ".join(row) + "\n", ""
        if arguments:
            return 0, f"GPU-1, 7, {EVIL}, 1\n", ""
        return 0, "", ""

    report = nvidia_smi.read_report(run)
    assert report.gpus[0].name is not None and not has_control(report.gpus[0].name)
    assert report.gpus[0].processes[0].name is not None and not has_control(report.gpus[0].processes[0].name)
    failed = nvidia_smi.read_report(lambda _arguments: (9, EVIL, ""))
    assert not has_control(failed.troubles[0].problem)


def test_a_process_whose_name_is_no_text_does_not_end_the_report() -> None:
    class NVMLError(Exception):
        pass

    def broken(_pid: int) -> str:
        return b"\xff".decode()

    questions = nvml._Questions(SimpleNamespace(NVMLError=NVMLError))
    assert questions.ask("name", broken, 7) is None
    assert questions.ask("name", lambda: EVIL) is not None and not has_control(questions.ask("name", lambda: EVIL))
