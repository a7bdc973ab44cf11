# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bare host without systemd and without network, in a container, and playbooks run on it."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.gguf.fleet.tests.ansible_runs import CHECKOUT as ROOT
from ansible_collections.gguf.fleet.tests.ansible_runs import ansible
from ansible_collections.gguf.fleet.tests.builders.inventory import inventory


class BareHost:
    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        # Other containers that a playbook runs over, with the same variables.
        self.beside: tuple[str, ...] = ()
        # How long a playbook may run.
        self.seconds = 540.0

    def sh(self, script: str, check: bool = True) -> str:
        done = subprocess.run(
            ["docker", "exec", self.name, "sh", "-c", script], text=True, capture_output=True, check=False
        )
        assert not check or done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def play(
        self, playbook: str, *options: str, warnings: Sequence[str] = (), **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        """Runs a playbook of the collection, or of the test when the path is absolute.

        `warnings` are words of those that it must print; any other fails the test.
        """
        host = {"ansible_connection": "community.docker.docker", "ansible_python_interpreter": "/usr/bin/python3"}
        hosts = dict.fromkeys((self.name, *self.beside), host)
        file = inventory(self.folder, hosts, **{"ansible_become": False, **variables})
        command = ("ansible-playbook", "-i", str(file), str(ROOT / "playbooks" / playbook), *options)
        return ansible(*command, warnings=warnings, seconds=self.seconds)


Start = Callable[..., BareHost]


def simulated_gpus(nvml_library: Path, config: Path) -> list[str]:
    """What a host needs to have the GPUs of a configuration; run ldconfig there."""
    return [
        f"--volume={nvml_library}:/usr/local/lib/libnvidia-ml.so.1:ro",
        f"--volume={config}:/etc/nvml-double.conf:ro",
    ]


def release(archives: dict[str, Path], version: str) -> dict[str, str]:
    """The variables by which the role installs this archive of the Ollama stand-in."""
    archive = archives[version]
    return {
        "ollama_version": version,
        "ollama_archive": str(archive),
        "ollama_archive_sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
    }
