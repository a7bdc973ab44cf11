# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running process is, whatever the files say: real processes, and servers that tell a version."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._service import health, running
from ansible_collections.gguf.fleet.plugins.module_utils._service.state import State


@pytest.fixture
def program(tmp_path: Path) -> Path:
    copy = tmp_path / "engine"
    shutil.copy("/bin/sleep", copy)
    return copy


@pytest.fixture
def state(program: Path) -> Iterator[State]:
    process = subprocess.Popen([str(program), "600"])
    try:
        yield State(known=True, active=True, enabled=True, pid=process.pid, restarts=0)
    finally:
        process.kill()
        process.wait()


def reasons(state: State, program: Path) -> list[str]:
    return running.reasons(state, str(program), None, lambda: state.pid)


def test_the_program_that_runs_is_left_alone_and_one_that_was_swapped_is_told(program: Path, state: State) -> None:
    assert reasons(state, program) == []
    new = program.with_name("new")
    shutil.copy("/bin/sleep", new)
    new.replace(program)
    assert reasons(state, program) == [f"the process that runs is not {program} as it is on the disk"]


def test_a_script_and_what_is_not_there_cannot_be_compared(program: Path, state: State, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert reasons(state, script) == []
    assert reasons(state, tmp_path / "missing") == []
    assert reasons(State(known=True, active=False, enabled=True, pid=0, restarts=0), program) == []


def test_a_command_by_one_of_our_links_leads_into_its_release() -> None:
    links = {"/usr/local/bin/ollama": "bin/ollama"}
    command = ["/usr/local/bin/ollama", "serve"]
    assert running.program_of(command, "/opt/o", "1.0", links) == "/opt/o/1.0/bin/ollama"
    assert running.program_of(command, None, None, {}) == "/usr/local/bin/ollama"


@pytest.mark.parametrize(
    ("told", "said"),
    [("0.5.7", []), ("0.0.0", []), ("0.33.2", ["the server that runs is version 0.33.2, not 0.5.7"])],
)
def test_a_server_of_another_version_is_told(
    told: str, said: list[str], state: State, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The way to the service is proved by its process, which this one has none of.
    monkeypatch.setattr(Endpoint, "json", lambda *_asked, **_limit: {"version": told})
    wanted = health.Wanted("ollama", "http://127.0.0.1:1", "0.5.7", (), gpus=False, answer_seconds=1, load_seconds=1)
    assert running.reasons(state, str(program), wanted, lambda: state.pid) == said
