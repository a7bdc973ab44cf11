# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers as hosts, and the roles and playbooks that are run over them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import yaml

from ansible_collections.gguf.fleet.tests.integration.bare_host import ROOT, BareHost


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Host(BareHost):
    """A container over which one role is run, or a playbook."""

    def __init__(self, name: str, folder: Path, role: str) -> None:
        super().__init__(name, folder)
        self.role = role

    def play(self, playbook: str = "", *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        if not playbook:
            role = {"ansible.builtin.include_role": {"name": f"gguf.fleet.{self.role}"}}
            playbook = str(self.folder / "play.yml")
            Path(playbook).write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [role]}]))
        return super().play(playbook, *options, **{"ollama_checksums_file": str(self.folder / "digests"), **variables})

    def converge(self, **variables: Any) -> int:
        """Runs the role and gives the number of changes."""
        done = self.play(**variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return changed(done)

    def api(self, path: str, body: Optional[dict[str, Any]] = None) -> Any:
        data = f"-d '{json.dumps(body)}'" if body else ""
        return json.loads(self.sh(f"curl -fsS -m 120 {data} http://127.0.0.1:11434{path}"))

    def version(self) -> str:
        return str(self.api("/api/version")["version"])

    def answer(self) -> str:
        question = [{"role": "user", "content": "What is the capital of France? Answer in one short sentence."}]
        body = {"model": "smollm2", "max_tokens": 16, "temperature": 0, "messages": question}
        return str(self.api("/v1/chat/completions", body)["choices"][0]["message"]["content"])


def changed(done: subprocess.CompletedProcess[str]) -> int:
    return int(done.stdout.rsplit("changed=", 1)[1].split()[0])


def message(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], text=True, capture_output=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def container(kind: str, role: str, model: Path, folder: Path, *more: str, image: str = "bookworm") -> Iterator[Host]:
    name = f"gguf-fleet-role-{uuid.uuid4().hex[:8]}"
    options, command = ["--init"], ["sleep", "infinity"]
    if kind == "systemd":
        script = f". {ROOT}/tests/lab/systemd_options.sh; systemd_options bookworm"
        told = subprocess.run(["bash", "-c", script], text=True, capture_output=True, check=True)
        options, command = told.stdout.split(), ["/lib/systemd/systemd"]
    volume = f"--volume={model}:/srv/smollm2.gguf:ro"
    docker("run", "--detach", "--name", name, volume, *options, *more, f"gguf-fleet-{image}", *command)
    try:
        host = Host(name, folder, role)
        if kind == "systemd":
            host.sh(
                "until systemctl is-system-running 2>/dev/null | grep -q -e running -e degraded; do sleep 0.2; done"
            )
        yield host
    finally:
        docker("rm", "--force", "--volumes", name, check=False)
