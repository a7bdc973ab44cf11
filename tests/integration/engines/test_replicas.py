# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several instances of one model on one host: each answers on its own port and sees cards of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.bare_host import ROOT, BareHost, Start, simulated_gpus
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import changed

pytestmark = pytest.mark.docker

H20X8 = ROOT / "tests" / "doubles" / "nvml" / "configs" / "h20x8.conf"


def answer(host: BareHost, port: int) -> str:
    question = [{"role": "user", "content": "Name the capital of France."}]
    body = json.dumps({"model": "smol", "max_tokens": 24, "temperature": 0, "messages": question})
    told = host.sh(f"curl -fsS -m 120 -d '{body}' http://127.0.0.1:{port}/v1/chat/completions")
    return str(json.loads(told)["choices"][0]["message"]["content"])


def cards_of(host: BareHost, service: str) -> str:
    return host.sh(f"sed -n 's/^CUDA_VISIBLE_DEVICES=//p' /etc/gguf-fleet/{service}.env").strip().strip('"')


def test_two_llama_servers_answer_on_two_ports(bare_host: Start, smollm2: SmolLM2, nvml_library: Path) -> None:
    host = bare_host("forky", *simulated_gpus(nvml_library, H20X8))
    host.sh("ldconfig")
    settings: dict[str, Any] = {"llama_cpp_source": "path", "llama_cpp_path": "/usr/bin/llama-server"}

    def run(replicas: object) -> int:
        served = {
            "name": "smol",
            "engine": "llama_cpp",
            "source": {"hub": "path", "path": str(smollm2.shards[0].parent)},
            "parameters": {"ctx-size": 512},
            "replicas": replicas,
        }
        done = host.play("site.yml", **settings, models_serve=[served])
        assert done.returncode == 0, done.stdout + done.stderr
        return changed(done)

    run(2)
    assert ["Paris" in answer(host, port) for port in (8080, 8081)] == [True, True]
    cards = [cards_of(host, service) for service in ("llama-cpp-smol", "llama-cpp-smol-2")]
    assert len(set(cards)) == 2 and all(card.startswith("GPU-") for card in cards)
    assert run(2) == 0

    run(1)
    assert "Paris" in answer(host, 8080)
    assert host.sh("curl -fsS -m 5 http://127.0.0.1:8081/health || echo gone").strip() == "gone"
