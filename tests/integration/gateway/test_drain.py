# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draining on a real HAProxy that is set up as a gateway: nothing new, no stream cut, and it lasts over a reload."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.ansible_runs import CHECKOUT, ansible
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import docker, message
from ansible_collections.gguf.fleet.tests.integration.gateway.doors import changes

pytestmark = pytest.mark.docker
TASKS = CHECKOUT / "playbooks/tasks"
ROLE = "gguf.fleet.gateway"

# Each says which one it is; /stream goes on until the file /tmp/end is there.
ENGINES = """
import http.server, os, threading, time
class Engine(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"%d\\n" % self.server.server_port)
        while self.path == "/stream" and not os.path.exists("/tmp/end"):
            self.wfile.write(b"more\\n")
            time.sleep(0.1)
        self.wfile.write(b"last\\n")
servers = [http.server.ThreadingHTTPServer(("127.0.0.1", port), Engine) for port in (9001, 9002)]
for server in servers:
    threading.Thread(target=server.serve_forever).start()
"""
CONFIGURATION = """
global
    stats socket /run/gguf-fleet/gateway.sock mode 600 level admin
    server-state-file /var/lib/gguf-fleet/gateway/server-state
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
    load-server-state-from-file global
frontend in
    bind 127.0.0.1:8080
    default_backend model_smollm2
backend model_smollm2
    server gpu-1_ollama 127.0.0.1:9001
    server gpu-2_ollama 127.0.0.1:9002
"""


@dataclass
class Gateway:
    container: str
    folder: Path

    def sh(self, script: str) -> str:
        command = ["docker", "exec", self.container, "sh", "-c", script]
        return subprocess.run(command, text=True, capture_output=True, check=True).stdout

    def play(
        self, playbook: str, *options: str, reached: Optional[Mapping[str, object]] = None, **variables: object
    ) -> subprocess.CompletedProcess[str]:
        served = {
            "models_serve": [{"name": "smollm2", "catalog": "smollm2-135m-instruct"}],
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        }
        gateway = {
            "ansible_host": self.container,
            "ansible_connection": "community.docker.docker",
            "ansible_python_interpreter": "/usr/bin/python3",
            "gateway_name": "llm.example.com",
            **(reached or {}),
        }
        children = {
            "gpus": {"hosts": {"gpu-1": {}, "gpu-2": {}}, "vars": served},
            "gateway": {"hosts": {"gw-1": gateway}},
        }
        inventory = self.folder / "hosts.yml"
        inventory.write_text(
            yaml.safe_dump({"all": {"children": children, "vars": {"ansible_become": False, **variables}}})
        )
        return ansible("ansible-playbook", "-i", str(inventory), str(CHECKOUT / "playbooks" / playbook), *options)

    def answers(self) -> set[str]:
        """Which instances answer ten requests."""
        return set(
            self.sh("for i in 1 2 3 4 5 6 7 8 9 10; do curl -s http://127.0.0.1:8080/ | head -n 1; done").split()
        )

    def reload(self) -> None:
        self.sh("pkill -USR2 -o haproxy")
        time.sleep(1)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, gateway_image: str) -> Iterator[Gateway]:
    made = Gateway(f"gguf-fleet-drain-{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("drain"))
    try:
        docker(
            "run", "--detach", "--init", "--network=none", "--name", made.container, gateway_image, "sleep", "infinity"
        )
        docker("exec", "--detach", made.container, "python3", "-c", ENGINES)
        made.sh(
            "mkdir -p /run/gguf-fleet /var/lib/gguf-fleet/gateway && touch /var/lib/gguf-fleet/gateway/server-state"
        )
        made.sh(f"cat > /etc/gateway.cfg <<'END'{CONFIGURATION}END\nhaproxy -c -q -f /etc/gateway.cfg")
        docker("exec", "--detach", made.container, "haproxy", "-W", "-db", "-f", "/etc/gateway.cfg")
        made.sh("until curl -sf -o /dev/null http://127.0.0.1:8080/; do sleep 0.1; done")
        yield made
    finally:
        docker("rm", "--force", "--volumes", made.container, check=False)


def test_a_drained_host_gets_nothing_new_and_ends_what_it_streams(gateway: Gateway) -> None:
    assert gateway.answers() == {"9001", "9002"}
    docker("exec", "--detach", gateway.container, "sh", "-c", "curl -sN http://127.0.0.1:8080/stream > /tmp/one")
    docker("exec", "--detach", gateway.container, "sh", "-c", "curl -sN http://127.0.0.1:8080/stream > /tmp/two")
    gateway.sh("until grep -q more /tmp/one && grep -q more /tmp/two; do sleep 0.1; done")
    checked = gateway.play("drain.yml", "--limit", "gpu-1", "--check", "--diff", gateway_drain_seconds=2)
    assert changes(checked)["gpu-1"] == 1
    assert "+model_smollm2/gpu-1_ollama drained" in checked.stdout
    assert gateway.answers() == {"9001", "9002"}
    told = message(gateway.play("drain.yml", "--limit", "gpu-1", gateway_drain_seconds=2))
    assert "1 requests still run on gpu-1_ollama after 2 s" in told
    assert "stay drained" in told
    assert gateway.answers() == {"9002"}
    gateway.sh("touch /tmp/end")
    assert changes(gateway.play("drain.yml", "--limit", "gpu-1"))["gpu-1"] == 0
    for file in ("/tmp/one", "/tmp/two"):
        assert gateway.sh(f"tail -n 1 {file}") == "last\n"


def test_it_lasts_over_a_reload_until_it_is_given_back(gateway: Gateway) -> None:
    assert gateway.answers() == {"9002"}
    gateway.reload()
    assert gateway.answers() == {"9002"}
    assert changes(gateway.play("undrain.yml", "--limit", "gpu-1"))["gpu-1"] == 1
    assert gateway.answers() == {"9001", "9002"}
    gateway.reload()
    assert gateway.answers() == {"9001", "9002"}
    assert changes(gateway.play("undrain.yml"))["gpu-1"] == 0


def test_a_stream_from_before_a_reload_is_waited_for(gateway: Gateway) -> None:
    gateway.sh("rm /tmp/end")
    for file in ("/tmp/one", "/tmp/two"):
        docker("exec", "--detach", gateway.container, "sh", "-c", f"curl -sN http://127.0.0.1:8080/stream > {file}")
        gateway.sh(f"until grep -q more {file}; do sleep 0.1; done")
    gateway.reload()
    told = message(gateway.play("drain.yml", "--limit", "gpu-1", gateway_drain_seconds=2))
    assert "1 requests still run on gpu-1_ollama after 2 s" in told
    gateway.sh("touch /tmp/end")
    assert changes(gateway.play("drain.yml", "--limit", "gpu-1"))["gpu-1"] == 0
    gateway.play("undrain.yml", "--limit", "gpu-1")


def around(gateway: Gateway, *work: dict[str, Any], **reached: object) -> subprocess.CompletedProcess[str]:
    """As the engines' roles have it around their work on a host, both hosts at once and in turns."""
    turn: list[dict[str, Any]] = [
        {"ansible.builtin.include_role": {"name": ROLE, "tasks_from": "drain"}},
        *work,
        {"ansible.builtin.include_role": {"name": ROLE, "tasks_from": "give_back"}},
    ]
    told = {"ansible.builtin.include_role": {"name": ROLE, "tasks_from": "stays_drained"}}
    after = [{**told, "when": "inventory_hostname not in ansible_play_hosts"}]
    (gateway.folder / "turn.yml").write_text(yaml.safe_dump([{"block": turn, "always": after}]))
    tasks = [
        {"ansible.builtin.import_tasks": str(TASKS / "fleet.yml")},
        {
            "ansible.builtin.include_tasks": str(gateway.folder / "turn.yml"),
            "loop": "{{ gguf_fleet | gguf.fleet.gateway_turn(inventory_hostname, {'held': 'restart'}) }}",
        },
    ]
    play = gateway.folder / "around.yml"
    play.write_text(yaml.safe_dump([{"hosts": "gpus", "gather_facts": False, "tasks": tasks}]))
    return gateway.play(str(play), reached=reached)


def test_what_was_drained_before_a_run_stays_so_and_the_rest_is_given_back(gateway: Gateway) -> None:
    assert changes(gateway.play("drain.yml", "--limit", "gpu-1"))["gpu-1"] == 1
    done = around(gateway)
    # The one that was drained, and the one that was not: drained and given back.
    assert changes(done) == {"gpu-1": 0, "gpu-2": 2}
    assert "gpu-1: it was drained on gw-1 before this run and stays so" in done.stdout
    assert gateway.answers() == {"9002"}
    gateway.play("undrain.yml", "--limit", "gpu-1")
    assert gateway.answers() == {"9001", "9002"}


def test_hosts_that_serve_one_model_are_never_drained_at_once(gateway: Gateway) -> None:
    both = f"docker exec {gateway.container} curl -sf http://127.0.0.1:8080/"
    done = around(gateway, {"ansible.builtin.command": both, "changed_when": False})
    assert changes(done) == {"gpu-1": 2, "gpu-2": 2}
    assert gateway.answers() == {"9001", "9002"}


def test_a_host_that_fails_stays_drained_and_those_after_it_are_left_as_they_are(gateway: Gateway) -> None:
    done = around(gateway, {"ansible.builtin.fail": {"msg": "It does not answer."}})
    assert done.returncode != 0
    assert "gpu-1: it failed and stays drained on the gateways" in done.stdout
    assert "gpu-2: left as it is, since gpu-1 failed and stays drained" in done.stdout
    assert "gpu-2: it failed" not in done.stdout
    assert gateway.answers() == {"9002"}
    gateway.play("undrain.yml", "--limit", "gpu-1")
    assert gateway.answers() == {"9001", "9002"}


def of_gpu_1(gateway: Gateway, tasks_from: str, **variables: object) -> int:
    """The number of changes of these tasks of the role."""
    tasks = [
        {"ansible.builtin.import_tasks": str(TASKS / "fleet.yml")},
        {"ansible.builtin.include_role": {"name": ROLE, "tasks_from": tasks_from}, "vars": variables},
    ]
    play = gateway.folder / "one.yml"
    play.write_text(yaml.safe_dump([{"hosts": "gpu-1", "gather_facts": False, "tasks": tasks}]))
    return changes(gateway.play(str(play)))["gpu-1"]


def test_what_is_removed_gets_nothing_until_it_is_there_again_and_not_when_its_host_is_given_back(
    gateway: Gateway,
) -> None:
    assert gateway.answers() == {"9001", "9002"}
    # Drained, and taken out.
    assert of_gpu_1(gateway, "take_out", _gateway_leaving=["ollama"]) == 2
    assert of_gpu_1(gateway, "take_out", _gateway_leaving=["ollama"]) == 0
    assert gateway.answers() == {"9002"}
    gateway.reload()
    assert changes(gateway.play("undrain.yml", "--limit", "gpu-1"))["gpu-1"] == 0
    assert gateway.answers() == {"9002"}
    # An instance of its own, which is none here.
    assert of_gpu_1(gateway, "take_in", _gateway_started=["ollama-2"]) == 0
    assert of_gpu_1(gateway, "take_in", _gateway_started=["ollama", "ollama-2"]) == 1
    assert gateway.answers() == {"9001", "9002"}


def test_a_gateway_that_cannot_be_told_ends_the_run_before_an_engine_changes(gateway: Gateway) -> None:
    away = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    made = gateway.folder / "changed"
    done = around(gateway, {"ansible.builtin.file": {"path": str(made), "state": "touch"}}, **away)
    assert done.returncode != 0
    assert "gpu-1: gw-1 cannot be reached" in done.stdout
    assert not made.exists()


def test_the_whole_fleet_is_not_drained_by_a_forgotten_limit(gateway: Gateway) -> None:
    assert "with --limit" in message(gateway.play("drain.yml"))
    assert gateway.answers() == {"9001", "9002"}
