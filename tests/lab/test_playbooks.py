# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks that look at a fleet and change nothing, over the provisioned lab."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.ansible_runs import ansible
from ansible_collections.gguf.fleet.tests.integration.docs.pages import blocks

pytestmark = pytest.mark.docker

CHECKOUT = Path(__file__).parents[2]


def play(name: str, *options: str) -> str:
    done = ansible("ansible-playbook", f"playbooks/{name}.yml", "-i", "lab", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search(r"changed=[1-9]", done.stdout)
    return done.stdout


def test_preflight_finds_a_fleet_that_serves_ready_and_its_ports_ours() -> None:
    output = play("preflight")
    assert output.count(" ready ") == 3
    assert output.count("11434 ours") == 2
    assert output.count("8080 ours") == 1


def test_plan_asks_hosts_with_gpus_for_them() -> None:
    output = play("plan", "--limit", "h20-01:rtx4090-01", "--extra-vars", "plan_from_hosts=true")
    assert output.count("NVIDIA H20 ") == 8
    assert output.count("NVIDIA GeForce RTX 4090 ") == 2
    assert "num_gpu=14" in output


def test_status_finds_every_engine_of_the_lab_well_and_its_model_in_place() -> None:
    output = play("status")
    assert "is not declared" not in output
    lines = output.partition("PLAY RECAP")[0].splitlines()
    rows = [line for line in lines if line.startswith(("h20-01 ", "rtx4090-01 ", "cpp-01 "))]
    assert sorted(row.split()[0] for row in rows) == ["cpp-01", "h20-01", "rtx4090-01"]
    assert [row for row in rows if " ok " not in row or "(missing)" in row] == []


def test_verify_asks_every_endpoint_again() -> None:
    assert play("verify").count("Paris") >= 3


def test_the_playbook_of_the_readme_with_all_roles_finds_the_same_fleet_in_order(tmp_path: Path) -> None:
    (block,) = [block for block in blocks("yaml") if block.file == "roles.yml"]
    playbook = tmp_path / block.file
    playbook.write_text(block.text, encoding="utf-8")
    done = ansible("ansible-playbook", str(playbook), "-i", "lab")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search(r"changed=[1-9]", done.stdout), done.stdout
    assert done.stdout.count("Paris") >= 3
