# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway and hosts behind doors, set up by our role in containers on a network of their own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import yaml

from ansible_collections.gguf.fleet.tests.ansible_runs import CHECKOUT, ansible
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import docker

PLAYBOOKS = CHECKOUT / "playbooks"
STREAMING = CHECKOUT / "tests/doubles/streaming/engine.py"
GATEWAY = "gw-1"


@dataclass(frozen=True)
class Machine:
    """A container. variables: of the host in the inventory. options: of `docker run`."""

    image: str = "gguf-fleet-gateway"
    systemd: bool = False
    options: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)


def instances(*models: str, first_port: int = 8081, slots: int = 4) -> dict[str, Any]:
    """The variables of a host with a llama-server for each of these models."""
    return {
        "models_engine": "llama_cpp",
        "models_serve": [
            {
                "name": model,
                "source": {"repo": f"o/{model}", "quant": "Q4"},
                "port": first_port + number,
                "parameters": {"parallel": slots},
            }
            for number, model in enumerate(models)
        ],
    }


@dataclass
class Entrance:
    """hosts: container by the host's name; the gateway is gw-1. said: all that Ansible's programs printed."""

    folder: Path
    hosts: dict[str, str]
    machines: Mapping[str, Machine]
    settings: dict[str, Any]
    addresses: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://{self.addresses[GATEWAY]}"

    @property
    def trust(self) -> Path:
        return self.folder / ".gguf-fleet/authority/ca.pem"

    def key(self, client: str) -> str:
        return (self.folder / f".gguf-fleet/gateway-keys/{client}.key").read_text().strip()

    def sh(self, host: str, script: str, check: bool = True) -> str:
        done = subprocess.run(
            ["docker", "exec", self.hosts[host], "sh", "-c", script], text=True, capture_output=True, check=False
        )
        assert not check or done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, host: str, script: str) -> None:
        """Runs on after this, and again a second after its end, as a service would."""
        loop = f"while :; do {script}; sleep 1; done >>/var/log/engine.log 2>&1"
        subprocess.run(["docker", "exec", "--detach", self.hosts[host], "sh", "-c", loop], check=True)

    def start_streaming(self, host: str, port: int, model: str) -> None:
        notes = f"/var/log/notes-{port}"
        command = f"python3 /srv/engine.py --port {port} --model {model} --notes {notes} --pace 0.05"
        self.start(host, command)
        self.sh(host, f"until curl -sf -o /dev/null http://127.0.0.1:{port}/health; do sleep 0.1; done")

    def play(
        self, playbook: str = "", *options: str, warnings: Sequence[str] = (), **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        """A playbook of the collection; without one, the doors' and the gateway's parts of site.yml."""
        inventory = self.folder / "hosts.yml"
        inventory.write_text(yaml.safe_dump(self._inventory(variables)))
        path = PLAYBOOKS / playbook if playbook else self._set_up()
        done = ansible("ansible-playbook", "-i", str(inventory), str(path), *options, warnings=warnings)
        self.said.append(done.stdout + done.stderr)
        return done

    def converge(self, *options: str, **variables: Any) -> str:
        done = self.play("", *options, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _inventory(self, more: Mapping[str, Any]) -> dict[str, Any]:
        hosts = {
            name: {
                "ansible_host": container,
                "ansible_connection": "community.docker.docker",
                "ansible_python_interpreter": "/usr/bin/python3",
                "ansible_become": False,
                **self.machines[name].variables,
            }
            for name, container in self.hosts.items()
        }
        gpus = {name: own for name, own in hosts.items() if name != GATEWAY}
        entrance = {"hosts": {GATEWAY: hosts[GATEWAY]}, "vars": {"gateway_name": self.addresses[GATEWAY]}}
        return {"all": {"children": {"gpus": {"hosts": gpus}, "gateway": entrance}, "vars": {**self.settings, **more}}}

    def _set_up(self) -> Path:
        fleet = {"ansible.builtin.import_tasks": str(PLAYBOOKS / "tasks/fleet.yml")}
        describe = {"ansible.builtin.import_tasks": str(PLAYBOOKS / "tasks/describe.yml")}
        door = {"ansible.builtin.include_role": {"name": "gguf.fleet.gateway", "tasks_from": "door"}}
        main = {"ansible.builtin.include_role": {"name": "gguf.fleet.gateway"}}
        plays = [
            {"hosts": "gpus", "gather_facts": False, "tasks": [fleet, door]},
            {"hosts": "gateway", "gather_facts": False, "tasks": [describe, main]},
        ]
        path = self.folder / "play.yml"
        path.write_text(yaml.safe_dump(plays))
        return path

    def servers(self) -> list[list[str]]:
        """Each server of the gateway as a row of `show stat`."""
        script = """
import socket
with socket.socket(socket.AF_UNIX) as s:
    s.connect("/run/gguf-fleet/gateway.sock")
    s.sendall(b"show stat -1 4 -1\\n")
    print(b"".join(iter(lambda: s.recv(65536), b"")).decode())
"""
        told = subprocess.run(
            ["docker", "exec", self.hosts[GATEWAY], "python3", "-c", script],
            text=True,
            capture_output=True,
            check=False,
        )
        return [line.split(",") for line in told.stdout.splitlines() if line and not line.startswith("#")]

    def ready(self) -> list[str]:
        """The backend of each server that is known to be ready and not drained."""
        return [row[0] for row in self.servers() if row[17].startswith("UP") and "INI" not in row[36]]

    def wait_until_up(self) -> None:
        """Until the gateway has found every instance ready."""
        end = time.monotonic() + 60
        while not (found := self.servers()) or len(self.ready()) < len(found):
            assert time.monotonic() < end, found
            time.sleep(0.2)

    def logs(self) -> dict[str, str]:
        """All that services and engines wrote on each machine."""
        script = "cat /var/log/gguf-fleet/* 2>/dev/null; journalctl --no-pager 2>/dev/null; cat /var/log/engine.log"
        return {name: self.sh(name, script, check=False) for name in self.hosts}


@contextlib.contextmanager
def entrance(
    folder: Path, machines: Mapping[str, Machine], settings: Optional[Mapping[str, Any]] = None
) -> Iterator[Entrance]:
    """The machines without anything set up on them yet. settings: variables of all hosts, such as gateway_clients."""
    run = uuid.uuid4().hex[:8]
    network = f"gguf-fleet-entrance-{run}"
    made = Entrance(folder, {name: f"{network}-{name}" for name in machines}, machines, dict(settings or {}))
    script = f". {CHECKOUT}/tests/lab/systemd_options.sh; systemd_options bookworm"
    systemd = subprocess.run(["bash", "-c", script], text=True, capture_output=True, check=True).stdout.split()
    docker("network", "create", network)
    try:
        for name, machine in machines.items():
            command = ["/lib/systemd/systemd"] if machine.systemd else ["sleep", "infinity"]
            options = [*(systemd if machine.systemd else ["--init"]), *machine.options, "--network", network]
            options += [f"--volume={STREAMING}:/srv/engine.py:ro"]
            docker("run", "--detach", "--hostname", name, "--name", made.hosts[name], *options, machine.image, *command)
            told = json.loads(docker("inspect", made.hosts[name]))[0]["NetworkSettings"]
            made.addresses[name] = told["Networks"][network]["IPAddress"]
        for name, machine in machines.items():
            if machine.systemd:
                state = "systemctl is-system-running 2>/dev/null | grep -q -e running -e degraded"
                made.sh(name, f"until {state}; do sleep 0.2; done")
        yield made
    finally:
        for container in made.hosts.values():
            docker("rm", "--force", "--volumes", container, check=False)
        docker("network", "rm", network, check=False)
