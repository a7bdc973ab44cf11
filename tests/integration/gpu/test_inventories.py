# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped inventories: readable by Ansible, and planned as the published deployments ran."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def ansible(program, *arguments):
    return subprocess.run(
        [program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"},
    )


def plan(inventory, *arguments):
    done = ansible("ansible-playbook", "playbooks/plan.yml", "-i", f"inventories/{inventory}", *arguments)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("inventory", ["h20", "rtx4090", "h20-pool"])
def test_an_inventory_lists_without_a_warning_and_hosts_carry_addresses_only(inventory):
    done = ansible("ansible-inventory", "-i", f"inventories/{inventory}", "--list")
    assert (done.returncode, done.stderr) == (0, "")
    hosts = json.loads(done.stdout)["_meta"]["hostvars"]
    own = json.loads(ansible("ansible-inventory", "-i", f"inventories/{inventory}/hosts.yml", "--list").stdout)
    for host, values in hosts.items():
        assert {"models_serve", "fleet_gpus", "fleet_ram_gib"} <= set(values), host
    assert own.keys() >= {"all", "_meta"}


@pytest.mark.parametrize(
    ("inventory", "arguments", "words"),
    [
        ("h20", [], ["fits. All 61 blocks", "num_gpu=62 num_ctx=8192", "Fewest GPUs for the whole model: 3"]),
        (
            "h20",
            ["-e", '{"ollama_gpus": ["0", "1", "2", "3"]}'],
            ["fits. All 61 blocks", "CUDA_VISIBLE_DEVICES=0,1,2,3 "],
        ),
        ("h20", ["-e", '{"h20_quant": "1.58bit", "ollama_gpus": ["0", "1"]}'], ["fits. All 61 blocks"]),
        ("h20", ["-e", '{"ollama_gpus": ["0", "1"]}'], ["layers are on the GPUs", "more than there are"]),
        ("rtx4090", [], ["fits. 14 of 62 layers", "num_gpu=14 num_ctx=2048"]),
        ("rtx4090", ["-e", "rtx4090_layers=16"], ["DOES NOT FIT", "its largest term is the weights"]),
        ("rtx4090", ["-e", "rtx4090_quant=1.58bit rtx4090_layers=16"], ["fits. 16 of 62 layers"]),
        ("h20-pool", ["-e", "plan_quant=auto"], ["Best quant for every host: UD-IQ1_M", "n-gpu-layers=62"]),
        ("h20-pool", ["-e", "plan_quant=auto fleet_hosts=h20x8,h20x4"], ["Best quant for every host: UD-Q2_K_XL"]),
    ],
)
def test_plan_prints_the_placement_of_a_documented_set_up(inventory, arguments, words):
    code, output = plan(inventory, *arguments)
    assert code == 0, output
    for expected in words:
        assert expected in output


def test_a_host_without_described_gpus_is_told_what_to_set():
    code, output = plan("h20", "-e", '{"fleet_gpus": []}')
    assert code != 0
    assert "h20-01: no GPUs to plan with. Set fleet_gpus" in output
