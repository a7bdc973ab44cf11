# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""show_report as Ansible runs it: the lines as they are, under every result format."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.ansible_runs import ansible, environment
from ansible_collections.gguf.fleet.tests.builders.inventory import inventory


def show(tmp_path: Path, *tasks: dict[str, Any], options: tuple[str, ...] = (), result_format: str = "json") -> str:
    done = run(tmp_path, tasks, options, result_format)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.partition("PLAY RECAP")[0]


def run(
    tmp_path: Path, tasks: tuple[dict[str, Any], ...], options: tuple[str, ...], result_format: str
) -> subprocess.CompletedProcess[str]:
    # A connection that would fail: the report needs none.
    host = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}
    file = inventory(tmp_path, {"one": host})
    play = {
        "hosts": "all",
        "name": "Show",
        "gather_facts": False,
        "tasks": [{"name": "Report", **task} for task in tasks],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    env = environment(ANSIBLE_CALLBACK_RESULT_FORMAT=result_format)
    arguments = ["-i", str(file), str(tmp_path / "play.yml"), *options]
    return ansible("ansible-playbook", *arguments, env=env)


def report(lines: Any, **more: Any) -> dict[str, Any]:
    return {"gguf.fleet.show_report": {"lines": lines}, **more}


@pytest.mark.parametrize(("result_format", "options"), [("json", ()), ("yaml", ("--check",))])
def test_a_report_is_printed_as_it_is(tmp_path: Path, result_format: str, options: tuple[str, ...]) -> None:
    lines = ['one  "quoted", and so on', "", "    on GPUs  100 %"]
    shown = show(tmp_path, report(lines), options=options, result_format=result_format)
    banner = f"TASK [Report] {'*' * 66}"
    expected = f'\n\none  "quoted", and so on\n\n    on GPUs  100 %\n\n{banner}\nok: [one]\n\n'
    assert shown.partition("*\n")[2] == expected[1:]


def test_a_text_is_printed_line_by_line_and_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    shown = show(tmp_path, report("first\n  second, too\n"), report([]), report(""))
    assert "\n\nfirst\n  second, too\n\nTASK" in shown
    assert shown.count("\n\n\n") == 0


def test_what_a_host_said_cannot_move_the_cursor_or_forge_a_line(tmp_path: Path) -> None:
    hostile = "\x1b]0;title\x07 \r\x9b1A \nok: [two]"
    shown = show(tmp_path, report([hostile]), report("{{ [hostvars['one'].ansible_host, '\x1b[1m'] }}"))
    assert "\\x1b]0;title\\x07 \\x0d\\x9b1A \\x0aok: [two]\n" in shown
    assert "127.0.0.1\n\\x1b[1m\n" in shown
    assert not any(ord(character) < 32 and character != "\n" for character in shown)


def test_what_is_not_to_be_logged_is_not_printed(tmp_path: Path) -> None:
    assert "secret" not in show(tmp_path, report(["a secret"], no_log=True), options=("-vvv",))


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, (report({"a": 1}),), (), "json")
    assert done.returncode == 2
    assert "lines is neither a text nor a list. Give a list of lines or one text." in done.stdout
