# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook verify over two hosts: one report, the warning about open endpoints, failures by host."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import pytest
import yaml

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.record import Reported, text_of
from ansible_collections.gguf.fleet.plugins.module_utils._verify.report import OPEN
from ansible_collections.gguf.fleet.tests.ansible_runs import ansible, environment
from ansible_collections.gguf.fleet.tests.builders.inventory import LOCAL, inventory
from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.ollama_double.conftest import Running, Start
from ansible_collections.gguf.fleet.tests.integration.verify.conftest import create

ROOT = Path(__file__).resolve().parents[3]
SOURCE = {"hub": "path", "path": "/nowhere/smol.gguf"}


@pytest.fixture(scope="module")
def ollama(start: Start, smollm2: SmolLM2) -> Running:
    server = start("0.33.2", OLLAMA_ORIGINS="*")
    create(server, smollm2)
    return server


def play(
    tmp_path: Path,
    hosts: dict[str, dict[str, object]],
    *options: str,
    warnings: Sequence[str] = (),
    env: Optional[dict[str, str]] = None,
) -> subprocess.CompletedProcess[str]:
    file = inventory(tmp_path, dict(sorted(hosts.items())), **LOCAL, verify_max_tokens=12)
    arguments = ["playbooks/verify.yml", "-i", str(file), *options]
    return ansible("ansible-playbook", *arguments, warnings=warnings, env=env)


def host(server: Running, listen: str = "127.0.0.1", **more: object) -> dict[str, object]:
    serve = [{"name": "smol", "source": SOURCE}]
    question = "What is the capital of France? Answer in one short sentence."
    return {"models_serve": serve, "ollama_host": f"{listen}:{server.port}", "verify_question": question, **more}


def test_one_report_names_every_host_and_its_answer(ollama: Running, tmp_path: Path) -> None:
    done = play(tmp_path, {"one": host(ollama), "two": host(ollama)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("TASK [gguf.fleet.verify : Report]") == 1
    for name in ("one", "two"):
        assert f"{name}  http://127.0.0.1:{ollama.port}" in done.stdout
    assert done.stdout.count("answer   The capital of France is Paris") == 2
    assert "on GPUs  none, the CPU computes" in done.stdout
    assert "WARNING: Open to the network" not in done.stdout
    assert "changed=0" in done.stdout


@pytest.mark.parametrize("result_format", ["json", "yaml"])
def test_an_open_endpoint_is_asked_over_the_network_and_the_run_ends_with_the_report_as_plain_text(
    ollama: Running, tmp_path: Path, result_format: str
) -> None:
    env = environment(ANSIBLE_CALLBACK_RESULT_FORMAT=result_format)
    # The server itself listens on loopback; for the role the variable is what counts.
    opened = host(ollama, listen="0.0.0.0", verify_address="127.0.0.1", ollama_origins=["*"])
    done = play(tmp_path, {"one": opened, "two": {"models_serve": []}}, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "one -> localhost" in done.stdout
    end = done.stdout[
        done.stdout.index("\none  http://") : done.stdout.index("PLAY [Ask every model through the gateways]")
    ]
    answer, speed = re.findall(r"^    (?:answer|speed) +(.*)$", end, re.MULTILINE)
    assert answer.startswith("The capital of France is Paris")
    assert re.fullmatch(r"[\d.]+ tokens/s, first token after [\d.]+ s", speed)
    expected = f"""
one  http://127.0.0.1:{ollama.port}
    model    smol (ollama 0.33.2)
    answer   {answer}
    speed    {speed}
    on GPUs  none, the CPU computes
two  declares no model in models_serve
WARNING: {OPEN}
    one  http://127.0.0.1:{ollama.port}

TASK [gguf.fleet.verify : Report] {"*" * 46}
ok: [one]

"""
    assert end == expected


def test_a_host_that_fails_is_named_in_the_report_of_the_others(ollama: Running, tmp_path: Path) -> None:
    lost = host(ollama, models_serve=[{"name": "other", "source": SOURCE}])
    done = play(tmp_path, {"good": host(ollama), "lost": lost})
    assert done.returncode == 2
    assert "there is no model other; there are: smol:latest" in done.stdout + done.stderr
    assert "lost  FAILED" in done.stdout
    assert "good  http://127.0.0.1" in done.stdout


def test_check_mode_before_the_first_run_passes(tmp_path: Path) -> None:
    nobody: dict[str, object] = {"models_serve": [{"name": "smol", "source": SOURCE}], "ollama_host": "127.0.0.1:9"}
    done = play(tmp_path, {"new": nobody}, "--check", warnings=["nothing listens on port 9"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "there is nothing to ask yet" in done.stdout


def test_where_an_adopted_server_listens_is_known_from_the_last_run_or_not_guessed(
    ollama: Running, tmp_path: Path
) -> None:
    adopted = {name: value for name, value in host(ollama).items() if name != "ollama_host"}
    refused = play(tmp_path, {"one": adopted})
    assert refused.returncode == 2
    assert "one: it was never asked whether it runs an Ollama of its own" in refused.stdout + refused.stderr

    info = {"adopted": {"models_dir": "/m", "environment": {"OLLAMA_HOST": f"127.0.0.1:{ollama.port}"}}}
    hosts = {"one": Reported(adopted=info["adopted"], date="2026-01-01T00:00:00Z")}
    (tmp_path / ".gguf-fleet").mkdir()
    (tmp_path / ".gguf-fleet" / "record.json").write_text(text_of(hosts))
    done = play(tmp_path, {"one": adopted})
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"one  http://127.0.0.1:{ollama.port}" in done.stdout


def test_the_defaults_are_those_of_the_argument_specs() -> None:
    role = ROOT / "roles" / "verify"
    defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text())
    options = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults
