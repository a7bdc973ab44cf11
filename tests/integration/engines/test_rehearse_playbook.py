# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/rehearse.yml on bare hosts: SmolLM2's header over the real llama-server, and over the Ollama stand-in."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2

pytestmark = pytest.mark.docker
ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = ROOT / "playbooks" / "rehearse.yml"


class Host:
    def __init__(self, name: str, shards: Path, folder: Path) -> None:
        self.name = name
        self.shards = shards
        self.folder = folder

    def sh(self, script: str) -> str:
        done = subprocess.run(
            ["docker", "exec", self.name, "sh", "-c", script], text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, script + done.stdout + done.stderr
        return done.stdout

    def rehearse(self, **variables: Any) -> subprocess.CompletedProcess[str]:
        host = {"ansible_connection": "community.docker.docker", "ansible_python_interpreter": "/usr/bin/python3"}
        model = {"name": "smollm2", "source": {"hub": "path", "path": str(self.shards)}}
        settings = {
            "ansible_become": False,
            "models_serve": [{**model, "parameters": variables.pop("parameters", {})}],
            **variables,
        }
        inventory = {"all": {"hosts": {self.name: host}, "vars": settings}}
        (self.folder / "inventory.yml").write_text(yaml.safe_dump(inventory))
        program = f"{Path(sys.executable).parent}/ansible-playbook"
        command = [program, "-i", str(self.folder / "inventory.yml"), str(PLAYBOOK)]
        return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)

    def left(self) -> str:
        """What is there of the model or of the rehearsal, but for the log that a service leaves."""
        return self.sh(
            "find / -xdev -not -path '/var/log/*' -not -path '/run/*' "
            "\\( -iname '*rehearsal*' -o -name '*SmolLM2*' \\); "
            "! grep -l rehearsal /var/lib/gguf-fleet/ledger.json"
        )


Start = Callable[..., Host]


@pytest.fixture
def host(smollm2: SmolLM2, tmp_path: Path) -> Iterator[Start]:
    """Starts a host without systemd; the shards are to be read at the same place as on the controller."""
    started = []
    shards = smollm2.shards[0].parent

    def start(image: str, *more: str) -> Host:
        name = f"gguf-fleet-rehearse-{uuid.uuid4().hex[:8]}"
        options = ["--init", "--network=none", f"--volume={shards}:{shards}:ro", *more]
        command = ["docker", "run", "--detach", "--name", name, *options, f"gguf-fleet-{image}", "sleep", "infinity"]
        started.append(name)
        subprocess.run(command, check=True, capture_output=True)
        return Host(name, shards, tmp_path)

    yield start
    for name in started:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], check=False, capture_output=True)


def test_llama_server_loads_the_header_over_holes_and_nothing_of_it_stays(host: Start) -> None:
    machine = host("forky")
    done = machine.rehearse(models_engine="llama_cpp", parameters={"ctx-size": 512})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "smollm2: loaded, and made a token." in done.stdout
    assert machine.left() == ""
    assert "llama-server" not in machine.sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def test_a_server_that_does_not_start_fails_the_run_with_its_reason_and_nothing_of_it_stays(
    host: Start,
) -> None:
    machine = host("forky")
    done = machine.rehearse(models_engine="llama_cpp", parameters={"no-such-option": 1})
    assert done.returncode != 0
    # Whether the server's last words or only its log are told depends on how soon it ends; the log is there to be read.
    assert re.search("smollm2: FAILED: .*llama-cpp-rehearsal", done.stdout), done.stdout
    assert "no-such-option" in machine.sh("cat /var/log/gguf-fleet/llama-cpp-rehearsal.log")
    assert machine.left() == ""


def test_ollama_loads_the_header_over_holes_and_nothing_of_it_stays(
    host: Start, ollama_archives: dict[str, Path], nvml_library: Path
) -> None:
    machine = host(
        "bookworm",
        f"--volume={nvml_library}:/usr/local/lib/libnvidia-ml.so.1:ro",
        f"--volume={ROOT}/tests/doubles/nvml/configs/rtx4090x2.conf:/etc/nvml-double.conf:ro",
    )
    machine.sh("ldconfig")
    archive = ollama_archives["0.5.7"]
    release = {
        "ollama_version": "0.5.7",
        "ollama_archive": str(archive),
        "ollama_archive_sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
    }
    done = machine.rehearse(**release, parameters={"num_ctx": 512})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "smollm2: loaded, and made a token." in done.stdout
    # The simulated card does not fill, but the plan is the real one.
    assert re.search(r"GPU 0: 0 MiB taken, [\d,]+ MiB planned", done.stdout), done.stdout
    assert machine.left() == ""
    assert machine.sh("ls /var/lib/ollama/models/blobs") == ""
