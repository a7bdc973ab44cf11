# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/min_gpus.yml on a host with eight simulated cards, of which three do not hold the model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.bare_host import (
    Start,
    release,
    simulated_gpus,
)

pytestmark = pytest.mark.docker

# Beside what CUDA and the graph take of each (457 and 97 MiB) a card has 45 MiB; the model with its cache takes 137.
CARDS = """\
driver_version = 550.127.08
[gpu 0-7]
name = NVIDIA H20
uuid_prefix = GPU-20200000-0000-4000-8000-
memory_mib = 599
reserved_mib = 0
persistence = on
"""


def test_fewer_and_fewer_cards_are_tried_until_the_model_is_on_them_no_more(
    bare_host: Start,
    smollm2: SmolLM2,
    ollama_archives: dict[str, Path],
    nvml_library: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "nvml.conf").write_text(CARDS)
    host = bare_host("bookworm", *simulated_gpus(nvml_library, tmp_path / "nvml.conf"))
    host.sh("ldconfig")
    source = {"hub": "path", "path": str(smollm2.shards[0].parent)}
    settings: dict[str, Any] = {
        **release(ollama_archives, "0.5.7"),
        "models_serve": [
            # All layers on the cards, or a failure: by itself the engine would leave some in RAM.
            {"name": "smollm2", "source": source, "template": "chatml", "parameters": {"num_ctx": 2048, "num_gpu": 31}}
        ],
        "models_plan": "warn",
        "ollama_environment": {"OLLAMA_NUM_PARALLEL": "1"},
        "min_gpus_max_tokens": 16,
    }
    served = host.play("site.yml", **settings)
    assert served.returncode == 0, served.stdout + served.stderr
    environment = host.sh("cat /etc/gguf-fleet/ollama.env")

    done = host.play("min_gpus.yml", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    (rows,) = yaml.safe_load((tmp_path / f"min_gpus-{host.name}.yml").read_text()).values()
    assert [(row["gpus"], row["answered"]) for row in rows] == [(8, True), (4, True), (3, False)], (
        "two are not tried any more"
    )
    for row in rows:
        assert len(row["used_bytes"]) == len(row["planned_mib"]) == row["gpus"]
    for row in rows[:2]:
        assert row["tokens_per_second"] > 0
        assert sum(used > 457 << 20 for used in row["used_bytes"]) == 4, "the stand-in fills one card after the other"
    assert rows[2]["error"]
    told = done.stdout
    for count in (8, 4):
        assert re.search(rf" {count} GPUs: answered, [\d.]+ tokens/s; [\d, to]+ MiB a card, planned [\d, to]+", told), (
            told
        )
    assert " 3 GPUs: FAILED" in told
    assert "Fewest GPUs that answered: 4." in told
    assert host.sh("cat /etc/gguf-fleet/ollama.env") == environment, "the service is as it was"
    assert "smollm2" in host.sh("ollama list")


@pytest.mark.long
def test_a_model_with_instances_is_tried_on_one_server_and_all_of_them_come_back(
    bare_host: Start,
    smollm2: SmolLM2,
    ollama_archives: dict[str, Path],
    nvml_library: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "nvml.conf").write_text(CARDS.replace("0-7", "0-3").replace("599", "2400"))
    host = bare_host("bookworm", *simulated_gpus(nvml_library, tmp_path / "nvml.conf"))
    host.sh("ldconfig")
    source = {"hub": "path", "path": str(smollm2.shards[0].parent)}
    model = {"name": "smollm2", "source": source, "template": "chatml", "replicas": 2}
    settings: dict[str, Any] = {
        **release(ollama_archives, "0.5.7"),
        "models_serve": [{**model, "parameters": {"num_ctx": 2048}}],
        "min_gpus_max_tokens": 16,
    }
    served = host.play("site.yml", **settings)
    assert served.returncode == 0, served.stdout + served.stderr
    # Two instances are two servers, each on cards of its own.
    files = "cat /etc/gguf-fleet/ollama.env /etc/gguf-fleet/ollama-2.env"
    environment = host.sh(files)

    done = host.play("min_gpus.yml", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    (rows,) = yaml.safe_load((tmp_path / f"min_gpus-{host.name}.yml").read_text()).values()
    assert [(row["gpus"], row["answered"]) for row in rows] == [(4, True), (3, True), (2, True)]
    assert host.sh(files) == environment, "the services are as they were"
    for port in (11434, 11435):
        assert "smollm2" in host.sh(f"OLLAMA_HOST=127.0.0.1:{port} ollama list")
