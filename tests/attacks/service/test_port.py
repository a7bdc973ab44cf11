# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A local user takes the port while the service restarts, to be given its API key and to prove its health."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.attacks.service.port_attack import KEY

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = "tests/attacks/service/port_attack.py"
THIEVES = ["another user", "no service", "one who left the port to the service"]


def run(command: list[str]) -> dict[str, list[str]]:
    done = subprocess.run(command, text=True, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    told: dict[str, list[str]] = json.loads(done.stdout)
    return told


def judge(scenes: dict[str, Any]) -> None:
    for scene in ("the service", "a process below it"):
        answer, sent = scenes[scene]
        assert answer == "200", scene
        assert f"Bearer {KEY}" in sent, scene
    for scene in THIEVES:
        answer, sent = scenes[scene]
        assert "not by the service" in answer, scene
        assert sent == "", scene


def test_nothing_is_sent_to_whoever_took_the_port() -> None:
    scenes = run(["/usr/bin/python3", "-B", str(ROOT / ".collections/ansible_collections/gguf/fleet" / SCRIPT)])
    judge(scenes)
    # Where root may look into processes, their user is not enough.
    assert "not by the service" in scenes["another process of the same user"][0]
    assert scenes["another process of the same user"][1] == ""


@pytest.mark.docker
def test_nothing_is_sent_to_another_user_where_root_may_not_look_into_processes() -> None:
    inside = "/collections/ansible_collections/gguf/fleet"
    options = ["--rm", "--network=none", "--init", f"--volume={ROOT}:{inside}:ro"]
    image = ["gguf-fleet-bookworm", "python3", "-B", f"{inside}/{SCRIPT}"]
    told = ["docker", "run", *options, "--entrypoint=cat", "gguf-fleet-bookworm", "/proc/self/status"]
    status = subprocess.run(told, text=True, capture_output=True, check=True).stdout
    capabilities = int(next(line for line in status.split("\n") if line.startswith("CapEff")).split()[1], 16)
    assert not capabilities >> 19 & 1, "Docker gives CAP_SYS_PTRACE here: this test needs a container without"
    judge(run(["docker", "run", *options, *image]))
