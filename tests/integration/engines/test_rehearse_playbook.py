# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/rehearse.yml on bare hosts: SmolLM2's header over the real llama-server, and over the Ollama stand-in."""

from __future__ import annotations

import re
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

pytestmark = pytest.mark.docker


def rehearse(host: BareHost, smollm2: SmolLM2, parameters: dict[str, Any], **variables: Any) -> Any:
    source = {"hub": "path", "path": str(smollm2.shards[0].parent)}
    served = {"name": "smollm2", "source": source, "parameters": parameters}
    return host.play("rehearse.yml", models_serve=[served], **variables)


def left(host: BareHost) -> str:
    """What is there of the model or of the rehearsal, but for the log that a service leaves."""
    return host.sh(
        "find / -xdev -not -path '/var/log/*' -not -path '/run/*' "
        "\\( -iname '*rehearsal*' -o -name '*SmolLM2*' \\); "
        "! grep -l rehearsal /var/lib/gguf-fleet/ledger.json"
    )


def test_llama_server_loads_the_header_over_holes_and_nothing_of_it_stays(
    bare_host: Start, smollm2: SmolLM2, nvml_library: Path
) -> None:
    config = ROOT / "tests" / "doubles" / "nvml" / "configs" / "rtx4090x2.conf"
    machine = bare_host("forky", *simulated_gpus(nvml_library, config))
    machine.sh("ldconfig")
    done = rehearse(machine, smollm2, {"ctx-size": 512}, models_engine="llama_cpp")
    assert done.returncode == 0, done.stdout + done.stderr
    # Its own llama-fit-params was asked about the plan, and knows no backend for these cards.
    assert re.search(r"llama.cpp \(build \d+\) sees none of the \d GPUs of this plan", done.stdout), done.stdout
    assert "smollm2: loaded, and made a token." in done.stdout
    assert left(machine) == ""
    assert "llama-server" not in machine.sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def test_a_server_that_does_not_start_fails_the_run_with_its_reason_and_nothing_of_it_stays(
    bare_host: Start,
    smollm2: SmolLM2,
) -> None:
    machine = bare_host("forky")
    done = rehearse(machine, smollm2, {"no-such-option": 1}, models_engine="llama_cpp")
    assert done.returncode != 0
    # Whether the server's last words or only its log are told depends on how soon it ends; the log is there to be read.
    assert re.search("smollm2: FAILED: .*llama-cpp-rehearsal", done.stdout), done.stdout
    assert "no-such-option" in machine.sh("cat /var/log/gguf-fleet/llama-cpp-rehearsal.log")
    assert left(machine) == ""


def test_ollama_loads_the_header_over_holes_takes_the_cards_and_nothing_of_it_stays(
    bare_host: Start,
    smollm2: SmolLM2,
    ollama_archives: dict[str, Path],
    nvml_library: Path,
) -> None:
    config = ROOT / "tests" / "doubles" / "nvml" / "configs" / "rtx4090x2.conf"
    machine = bare_host("bookworm", *simulated_gpus(nvml_library, config))
    machine.sh("ldconfig")
    done = rehearse(machine, smollm2, {"num_ctx": 512}, **release(ollama_archives, "0.5.7"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "smollm2: loaded, and made a token." in done.stdout
    taken = re.search(r"GPU 0: ([\d,]+) MiB taken, [\d,]+ MiB planned", done.stdout)
    assert taken, done.stdout
    assert 457 < int(taken[1].replace(",", "")) < 2000, "CUDA's own memory, the weights, the cache and the graph"
    assert left(machine) == ""
    assert machine.sh("ls /var/lib/ollama/models/blobs") == ""
