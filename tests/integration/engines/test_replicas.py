# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several instances of one model on one host: each answers on its own port and sees cards of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.bare_host import (
    ROOT,
    BareHost,
    Start,
    release,
    simulated_gpus,
)
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import changed

pytestmark = pytest.mark.docker

H20X8 = ROOT / "tests" / "doubles" / "nvml" / "configs" / "h20x8.conf"


def answer(host: BareHost, port: int, model: str) -> str:
    question = [{"role": "user", "content": "Name the capital of France."}]
    body = json.dumps({"model": model, "max_tokens": 24, "temperature": 0, "messages": question})
    told = host.sh(f"curl -fsS -m 120 -d '{body}' http://127.0.0.1:{port}/v1/chat/completions")
    return str(json.loads(told)["choices"][0]["message"]["content"])


def environment_of(host: BareHost, service: str) -> dict[str, str]:
    lines = host.sh(f"cat /etc/gguf-fleet/{service}.env").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name: value.strip('"') for name, _equals, value in pairs}


SERVERS = {
    "llama-cpp-lama": (8080, "lama"),
    "llama-cpp-lama-2": (8081, "lama"),
    "ollama": (11434, "smol"),
    "ollama-2": (11435, "smol"),
}


def test_two_instances_of_each_engine_answer_on_their_ports(
    bare_host: Start, smollm2: SmolLM2, ollama_archives: dict[str, Path], nvml_library: Path
) -> None:
    host = bare_host("forky", *simulated_gpus(nvml_library, H20X8))
    host.sh("ldconfig")
    settings: dict[str, Any] = {
        "llama_cpp_source": "path",
        "llama_cpp_path": "/usr/bin/llama-server",
        "ollama_expect_gpu": False,
    }
    source = {"hub": "path", "path": str(smollm2.shards[0].parent)}

    def run(replicas: object, version: str = "0.5.7", *options: str, playbook: str = "site.yml") -> int:
        lama = {"name": "lama", "engine": "llama_cpp", "parameters": {"ctx-size": 512}}
        smol = {"name": "smol", "engine": "ollama", "template": "chatml", "parameters": {"num_ctx": 512}}
        served = [{**model, "source": source, "replicas": replicas} for model in (lama, smol)]
        # Answers are asked for here.
        done = host.play(
            playbook,
            "--skip-tags=verify",
            *options,
            **settings,
            **release(ollama_archives, version),
            models_serve=served,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return changed(done)

    run(2)
    assert ["Paris" in answer(host, *where) for where in SERVERS.values()] == [True] * 4
    environments = {service: environment_of(host, service) for service in SERVERS}
    cards = [environments[service]["CUDA_VISIBLE_DEVICES"] for service in SERVERS]
    assert len(set(cards)) == 4 and all(card.startswith("GPU-") for card in cards)
    assert [environments[service].get("OLLAMA_NOPRUNE") for service in ("ollama", "ollama-2")] == [None, "1"]
    assert run(2) == 0

    def versions() -> list[str]:
        told = [host.sh(f"curl -fsS http://127.0.0.1:{port}/api/version") for port in (11434, 11435)]
        return [json.loads(one)["version"] for one in told]

    # By the lock file alone: nothing is resolved or planned again.
    run(2, "0.33.2", "--tags=engine")
    assert versions() == ["0.33.2"] * 2
    run(2, "0.33.2", playbook="rollback.yml")
    assert versions() == ["0.5.7"] * 2
    assert [environment_of(host, service) for service in SERVERS] == list(environments.values())

    run(1, "0.33.2")
    assert ["Paris" in answer(host, *SERVERS[service]) for service in ("llama-cpp-lama", "ollama")] == [True] * 2
    for port in (8081, 11435):
        assert host.sh(f"curl -fsS -m 5 http://127.0.0.1:{port}/ || echo gone").strip() == "gone"
    assert host.sh("ls /etc/gguf-fleet").split().count("ollama-2.env") == 0
