# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped inventories: readable by Ansible, and planned as the published deployments ran."""

from __future__ import annotations

import json
import re

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._install.assets import place
from ansible_collections.gguf.fleet.tests.ansible_runs import CHECKOUT as ROOT
from ansible_collections.gguf.fleet.tests.ansible_runs import ansible, environment
from ansible_collections.gguf.fleet.tests.builders import inventory as builders


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


@pytest.mark.parametrize("inventory", ["h20", "rtx4090", "h20-pool"])
def test_no_engine_of_an_inventory_is_open_and_clients_have_a_gateway(inventory, tmp_path):
    playbook = tmp_path / "play.yml"
    tasks = [
        {"ansible.builtin.import_tasks": str(ROOT / "playbooks/tasks/fleet.yml")},
        {"ansible.builtin.debug": {"var": "gguf_fleet"}, "run_once": True},
    ]
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    done = ansible("ansible-playbook", str(playbook), "-i", f"inventories/{inventory}")
    assert done.returncode == 0, done.stdout + done.stderr
    fleet = json.loads(done.stdout.partition('"gguf_fleet": ')[2].partition("\n}\n")[0])
    assert [one for one in fleet["instances"] if one["listen"]["open"]] == []
    assert {one["host"] for one in fleet["instances"]} == set(fleet["hosts"])
    (gateway,) = fleet["gateways"].values()
    assert gateway["url"].startswith("https://192.0.2.")


@pytest.mark.parametrize("inventory", ["h20", "rtx4090"])
def test_the_open_port_is_one_commented_line(inventory):
    (file,) = (ROOT / "inventories" / inventory / "group_vars").iterdir()
    lines = [line for line in file.read_text().splitlines() if "0.0.0.0" in line]
    assert lines == ["# ollama_host: 0.0.0.0:11434"]


FULL = "fits. All 61 blocks"
# Each set-up of the published deployments, by one variable; those of one quant as hosts of one run.
SET_UPS: dict[str, dict[str, tuple[dict[str, object], list[str]]]] = {
    "h20": {
        "h20-01": ({}, [FULL, "num_gpu=62 num_ctx=8192", "Fewest GPUs for the whole model: 3"]),
        "four": ({"h20_setup": "2.51bit on 4 cards"}, ["UD-Q2_K_XL", FULL, "CUDA_VISIBLE_DEVICES=0,1,2,3 "]),
        "three": ({"h20_setup": "2.51bit on 3 cards"}, ["UD-Q2_K_XL", FULL, "CUDA_VISIBLE_DEVICES=0,1,2 "]),
        "two": ({"ollama_gpus": ["0", "1"]}, ["layers are on the GPUs", "more than there are"]),
    },
    "rtx4090": {
        "rtx4090-01": ({}, ["UD-IQ1_M", "fits. 14 of 62 layers", "num_gpu=14 num_ctx=2048"]),
        "more": ({"rtx4090_layers": 16}, ["DOES NOT FIT", "its largest term is the weights"]),
    },
}


@pytest.mark.parametrize("inventory", SET_UPS)
def test_plan_prints_the_placement_of_each_documented_set_up(inventory, tmp_path):
    hosts = {host: variables for host, (variables, _words) in SET_UPS[inventory].items() if variables}
    (tmp_path / "more.yml").write_text(json.dumps({inventory: {"hosts": hosts}}))
    code, output = plan(inventory, "-i", str(tmp_path / "more.yml"))
    assert code == 0, output
    blocks = dict(re.findall(r"^([\w-]+):\n((?:  .*\n)+)", output, re.MULTILINE))
    for host, (_variables, words) in SET_UPS[inventory].items():
        for expected in words:
            assert expected in blocks[host], output


# Other quants, and several hosts.
ALONE = [
    ("h20", ["h20_setup='1.58bit on 2 cards'"], ["UD-IQ1_S", FULL, "CUDA_VISIBLE_DEVICES=0,1 "]),
    ("rtx4090", ["rtx4090_quant=1.58bit"], ["UD-IQ1_S", "fits. 16 of 62 layers"]),
    ("h20-pool", [], ["Best quant for every host: UD-IQ1_M", "n-gpu-layers=62"]),
    ("h20-pool", ["fleet_hosts=h20x8,h20x4"], ["Best quant for every host: UD-Q2_K_XL"]),
    ("h20-pool", ["pool_quant=1.58bit"], ["deepseek-r1 UD-IQ1_S", FULL]),
    ("h20-pool", ["plan_quant=auto", "pool_quant=1.58bit"], ["Best quant for every host: UD-IQ1_M"]),
]


@pytest.mark.parametrize(("inventory", "settings", "words"), ALONE)
def test_plan_prints_the_placement_of_a_set_up(inventory, settings, words):
    code, output = plan(inventory, *(word for setting in settings for word in ("-e", setting)))
    assert code == 0, output
    for expected in words:
        assert expected in output


def test_a_model_that_no_host_holds_alone_is_planned_over_several():
    two_cards = '{"fleet_gpus": [{"name": "NVIDIA H20", "memory_total_mib": 97871, "count": 2}]}'
    code, output = plan("h20-pool", "-e", two_cards, "-e", "pool_quant=2.51bit")
    assert code == 0, output
    assert "layers are on the GPUs" in output or "stay in RAM" in output
    assert "Over the GPUs of h20-01, h20-02 together (llama.cpp RPC):" in output
    assert "h20-02: CUDA_VISIBLE_DEVICES=0,1 CUDA_DEVICE_ORDER=PCI_BUS_ID ggml-rpc-server --host 192.0.2.12" in output
    assert "--rpc 192.0.2.12:50052" in output
    assert "neither authentication nor encryption" in output


def test_the_models_of_a_host_are_planned_together(tmp_path):
    serve = [
        {"name": name, "catalog": "deepseek-r1", "quant": quant, "parameters": {"ctx-size": 4096}}
        for name, quant in (("best", "2.51bit"), ("good", "2.22bit"))
    ]
    cards = [{"name": "NVIDIA H20", "memory_total_mib": 97871, "count": 4}]
    host = {"fleet_gpus": cards, "fleet_ram_gib": 512, "models_engine": "llama_cpp", "models_serve": serve}
    done = ansible("ansible-playbook", "playbooks/plan.yml", "-i", str(builders.inventory(tmp_path, {"h20-01": host})))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DOES NOT FIT TOGETHER, and site.yml refuses it. best and good do not fit together" in done.stdout
    assert "MiB (best " in done.stdout


def variables(inventory, host, *settings):
    words = [word for setting in settings for word in ("-e", setting)]
    done = ansible(
        "ansible", "-i", f"inventories/{inventory}", host, "-m", "ansible.builtin.debug", "-a", SHOWN, *words
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.partition("=> ")[2])["msg"]


SHOWN = (
    "msg=\"{{ {'models': host_models_dir, 'store': ollama_models_dir, 'found': models_find_in | default([]),"
    " 'source': ollama_source_url | default('')} }}\""
)


def test_models_on_a_share_are_one_variable_away():
    assert variables("rtx4090", "rtx4090-01", "rtx4090_root=/srv/nfs-models") == {
        "models": "/srv/nfs-models/models",
        "store": "/srv/nfs-models/ollama",
        "found": ["/srv/nfs-models/quantization"],
        "source": "",
    }


@pytest.mark.parametrize("inventory", ["h20", "rtx4090"])
def test_a_mirror_of_github_is_the_variable_that_the_comment_shows(inventory):
    (file,) = (ROOT / "inventories" / inventory / "group_vars").iterdir()
    (line,) = [line for line in file.read_text().splitlines() if line.startswith("# ollama_source_url: ")]
    url = line.partition(": ")[2]
    assert variables(inventory, f"{inventory}-01", f"ollama_source_url={url}")["source"] == url
    assert place(url, "0.5.7", "ollama-linux-amd64.tgz")["url"] == (
        "https://mirror.example/https://github.com/ollama/ollama/releases/download/v0.5.7/ollama-linux-amd64.tgz"
    )


def test_hosts_are_asked_for_their_gpus_when_that_is_wanted(nvml_environment, tmp_path):
    serve = [{"name": "r1", "catalog": "deepseek-r1", "quant": "1.58bit", "parameters": {"num_ctx": 2048}}]
    file = builders.inventory(tmp_path, {"here": {**builders.LOCAL, "fleet_ram_gib": 64, "models_serve": serve}})
    arguments = ["playbooks/plan.yml", "-i", str(file), "-e", "plan_from_hosts=true"]
    done = ansible("ansible-playbook", *arguments, env=environment(**nvml_environment("h20x8")))
    assert done.returncode == 0, done.stdout + done.stderr
    assert FULL in done.stdout
    assert "CUDA_VISIBLE_DEVICES=GPU-20200000-0000-4000-8000-000000000000," in done.stdout


def test_a_host_without_described_gpus_is_told_what_to_set():
    code, output = plan("h20", "-e", '{"fleet_gpus": []}')
    assert code != 0
    assert "h20-01: no GPUs to plan with. Set fleet_gpus" in output
