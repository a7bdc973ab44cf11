# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real llama-fit-params checks plans: on a host, and for declared GPUs through the real RPC servers."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import parse_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.info import describe
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.tests.ansible_runs import ansible
from ansible_collections.gguf.fleet.tests.builders import models
from ansible_collections.gguf.fleet.tests.builders.gguf import header, pad
from ansible_collections.gguf.fleet.tests.builders.inventory import inventory
from ansible_collections.gguf.fleet.tests.integration.bare_host import ROOT, BareHost

pytestmark = pytest.mark.docker

PROGRAM = "/usr/bin/llama-fit-params"
# What a container needs to give a program a network of its own.
RIGHTS = ("--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined")
CARDS = [{"name": "L40S", "memory_total_mib": 46068, "count": 2}]

StartHost = Callable[..., BareHost]


@pytest.fixture
def start(judge: Any, tmp_path: Path) -> Iterator[StartHost]:
    """A host with the real programs; `judge` has built its image."""
    started: list[str] = []

    def run(*options: str) -> BareHost:
        name = f"gguf-fleet-judge-{tmp_path.name.replace('_', '-')}"
        command = ["docker", "run", "--detach", "--rm", "--network=none", f"--name={name}", *options]
        command += [f"--volume={tmp_path}:{tmp_path}:ro", "gguf-fleet-judge", "sleep", "600"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"this machine starts no such container: {done.stderr.strip()}")
        started.append(name)
        return BareHost(name, tmp_path)

    yield run
    for name in started:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=True)


def lock_of(model: models.Model, folder: Path, drop: str = "") -> dict[str, Any]:
    """A lock of two shards that lie in a folder, holes in place of their data; `drop` leaves some tensors out."""
    tensors = [tensor for tensor in model.tensors if not (drop and drop in tensor.name)]
    half = len(tensors) // 2
    files, headers = [], []
    for number, part in enumerate((tensors[:half], tensors[half:])):
        split = {
            "split.no": ("u16", number),
            "split.tensors.count": ("i32", len(tensors)),
            "split.count": ("u16", 2),
        }
        raw = pad(header({**model.kv, **split} if number == 0 else split, part))
        size = len(raw) + sum(-(-tensor.nbytes // 32) * 32 for tensor in part)
        path = folder / f"model-{number + 1:05d}-of-00002.gguf"
        with path.open("wb") as file:
            file.write(raw)
            file.truncate(size)
        headers.append(parse_header(raw, size_bytes=size))
        files.append(
            {
                "path": path.name,
                "size_bytes": size,
                "sha256": None,
                "url": path.as_uri(),
                "header_bytes": len(headers[-1].raw),
                "header_sha256": hashlib.sha256(headers[-1].raw).hexdigest(),
            }
        )
    return {
        "lock_version": 1,
        "hub": "path",
        "endpoint": None,
        "repo": "test/Model-GGUF",
        "revision": None,
        "commit": None,
        "quant": "Q4_K_M",
        "files": files,
        "gguf": describe(headers),
        "merged": {"size_bytes": merge_layout(headers).size_bytes, "sha256": None},
    }


def ask_host(host: BareHost, lock: dict[str, Any], *options: str, **asked: Any) -> dict[str, Any]:
    """Plan for a host, let the engine there check it, and give what gguf_judge returned.

    `smaller=True` asks about half of the context, too.
    """
    play = host.folder / "play.yml"
    result = host.folder / "result.json"
    names = ["model", "smaller"] if asked.pop("smaller", False) else ["model"]
    planned = {"lock": "{{ lock }}", "gpus": [], "engine": "llama_cpp", **asked}
    tasks: list[dict[str, Any]] = [
        {
            "gguf.fleet.gguf_plan": {**planned, "num_ctx": 8192 if name == "model" else 4096},
            "delegate_to": "localhost",
            "register": name,
        }
        for name in names
    ]
    questions = [{"name": name, "plan": f"{{{{ {name}.plan }}}}", "lock": "{{ lock }}"} for name in names]
    tasks += [
        {"gguf.fleet.gguf_judge": {"program": PROGRAM, "models": questions}, "register": "judged"},
        {
            "ansible.builtin.copy": {"content": "{{ judged | to_json }}", "dest": str(result)},
            "delegate_to": "localhost",
            "check_mode": False,
        },
    ]
    play.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    done = host.play(str(play), *options, lock=lock)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def test_a_host_without_gpus_is_planned_as_the_engine_itself_counts(start: StartHost, tmp_path: Path) -> None:
    host, lock = start(), lock_of(models.llama3_70b(), tmp_path)
    judged = ask_host(host, lock, "--check")
    plan = judged["plans"]["model"]
    assert int(judged["build"]) >= 11669
    assert (plan["fits"], plan["judge"]["problem"], plan["judge"]["backend"]) == (True, None, "")
    assert plan["judge"]["differences"] == []
    assert plan["judge"]["host"]["weights_mib"] == pytest.approx(plan["host"]["dense_mib"], rel=0.01)
    assert plan["judge"]["host"]["kv_mib"] == plan["host"]["kv_mib"] == 2560
    host.sh("test ! -e /var/lib/gguf-fleet/judge.json")  # check mode keeps nothing

    assert not ask_host(host, lock)["changed"]
    kept = host.sh("cat /var/lib/gguf-fleet/judge.json; stat -c %a:%u /var/lib/gguf-fleet/judge.json")
    assert kept.endswith("600:0\n") and "Host 40503" in kept
    # With the answer at hand the model's header is not needed; another question needs it.
    away = {**lock, "files": [{**file, "url": "file:///away"} for file in lock["files"]]}
    again = ask_host(host, away, smaller=True)["plans"]
    assert again["model"]["judge"] == plan["judge"]
    assert again["smaller"]["fits"] and "cannot be read" in again["smaller"]["judge"]["problem"]


def test_cards_that_its_llama_cpp_has_no_backend_for_are_said(start: StartHost, tmp_path: Path) -> None:
    judged = ask_host(start(), lock_of(models.llama3_70b(), tmp_path), gpus=CARDS)["plans"]["model"]
    assert judged["fits"]
    assert "sees none of the 2 GPUs" in judged["judge"]["said"]
    # Stand-ins need a network of their own, which this container may not have.
    assert "in a network of its own" in judged["judge"]["problem"]


def test_a_header_that_crashes_the_engine_leaves_the_plan_and_is_said(start: StartHost, tmp_path: Path) -> None:
    lock = lock_of(models.llama3_70b(), tmp_path, drop="attn_q")
    judged = ask_host(start(), lock)["plans"]["model"]
    assert judged["fits"]
    assert "ended" in judged["judge"]["problem"] and "attn_q" in judged["judge"]["problem"]


def plan_fleet(host: BareHost, lock: dict[str, Any]) -> str:
    """playbooks/plan.yml -e plan_judge=..., the controller being the container."""
    (host.folder / "models.lock.txt").write_text(
        yaml.safe_dump({"version": 1, "locks": {"test/Model-GGUF:Q4_K_M": lock}})
    )
    source = {"hub": "modelscope", "repo": "test/Model-GGUF", "quant": "Q4_K_M"}
    model = {"name": "big", "source": source, "engine": "llama_cpp", "parameters": {"ctx-size": 8192}}
    controller = {
        "ansible_connection": "community.docker.docker",
        "ansible_host": host.name,
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    gpus = {"models_serve": [model], "fleet_gpus": CARDS, "fleet_ram_gib": 64}
    file = inventory(host.folder, {"localhost": controller, "gpu-01": gpus})
    arguments = ["-i", str(file), str(ROOT / "playbooks/plan.yml")]
    arguments += ["-e", f"plan_judge={PROGRAM}", "-e", "fleet_hosts=gpu-01"]
    done = ansible("ansible-playbook", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_declared_gpus_are_checked_on_the_controller_through_stand_ins(start: StartHost, tmp_path: Path) -> None:
    shown = plan_fleet(start(*RIGHTS), lock_of(models.llama3_70b(), tmp_path))
    assert "By llama-fit-params (build" in shown and ", RPC), in MiB:" in shown
    assert "GPU 1: weights" in shown and "KV 1,2" in shown
    assert "Not checked" not in shown and "MiB planned" not in shown


def test_a_controller_that_may_not_do_it_says_what_is_missing(start: StartHost, tmp_path: Path) -> None:
    shown = plan_fleet(start(), lock_of(models.llama3_70b(), tmp_path))
    assert "fits. All 80 blocks" in shown
    assert "Not checked by llama-fit-params" in shown and "unshare --user --net true" in shown
