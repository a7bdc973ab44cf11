# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One model over two hosts by llama.cpp's RPC: a worker that lends its device, a head that answers through it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.ansible_runs import ansible
from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.bare_host import ROOT, BareHost, Start

pytestmark = pytest.mark.docker
ENGINE = {"models_engine": "llama_cpp", "llama_cpp_source": "package"}


BACKENDS = "/usr/lib/x86_64-linux-gnu/ggml/backends0"


@pytest.fixture
def pair(bare_host: Start, judge: Any, tmp_path: Path) -> tuple[BareHost, BareHost]:
    """A host that lends its GPUs, and one that computes by it. They share a loopback interface and nothing else."""
    # What the package libggml0-backend-rpc brings.
    judge(["cp", f"{BACKENDS}/libggml-rpc.so", "."], cwd=tmp_path)
    rpc = f"--volume={tmp_path}/libggml-rpc.so:{BACKENDS}/libggml-rpc.so:ro"
    lender = bare_host("forky", rpc)
    return lender, bare_host("forky", rpc, network=f"container:{lender.name}")


def test_a_head_answers_through_a_worker_that_is_taken_back_afterwards(
    pair: tuple[BareHost, BareHost], smollm2: SmolLM2
) -> None:
    worker, head = pair
    lent = worker.play("site.yml", **ENGINE, llama_cpp_rpc={"host": "127.0.0.1"})
    assert lent.returncode == 0, lent.stdout + lent.stderr
    assert "lends this host's GPUs without authentication" in lent.stdout
    again = worker.play("site.yml", **ENGINE, llama_cpp_rpc={"host": "127.0.0.1"})
    assert "changed=0" in again.stdout, again.stdout

    source = {"hub": "path", "path": str(smollm2.shards[0].parent)}
    parameters = {"rpc": "127.0.0.1:50052", "n-gpu-layers": 31, "ctx-size": 512}
    serve = [{"name": "smollm2", "source": source, "parameters": parameters}]
    served = head.play("site.yml", **ENGINE, models_serve=serve, verify_max_tokens=8)
    assert served.returncode == 0, served.stdout + served.stderr
    # Ours is the connection that only looks whether the port is open; the head's asks for memory.
    assert "Accepted client connection" in worker.sh("cat /var/log/gguf-fleet/llama-cpp-rpc.log")
    held = worker.sh("grep VmRSS /proc/$(pidof ggml-rpc-server)/status")
    assert int(held.split()[1]) > 80 * 1024, f"the worker holds the weights (98 MB): {held}"

    taken = worker.play("site.yml", **ENGINE)
    assert taken.returncode == 0, taken.stdout + taken.stderr
    assert "rpc-server" not in worker.sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


STORY = {
    "model": "smollm2",
    "stream": True,
    "max_tokens": 250,
    "messages": [{"role": "user", "content": "Write a very long story about a river."}],
}
UNTIL = "until {}; do sleep 0.2; done"


@pytest.mark.long
def test_a_stream_ends_before_the_rpc_server_that_it_computes_by_is_restarted(
    pair: tuple[BareHost, BareHost], smollm2: SmolLM2, tmp_path: Path
) -> None:
    # The second is the gateway, too.
    lender, head = pair
    source = {"hub": "path", "path": str(smollm2.shards[0].parent)}
    parameters = {"rpc": "127.0.0.1:50052", "n-gpu-layers": 31, "ctx-size": 512}

    def site(*options: str, **environment: str) -> str:
        reached = {
            "ansible_connection": "community.docker.docker",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_become": False,
            **ENGINE,
        }
        lends = {"llama_cpp_rpc": {"host": "127.0.0.1"}, "llama_cpp_environment": environment}
        serves = {"models_serve": [{"name": "smollm2", "source": source, "parameters": parameters}]}
        entrance = {"gateway_name": "localhost", "gateway_transport": "plain", "gateway_clients": [{"name": "chat"}]}
        groups = {
            "lenders": {"hosts": {lender.name: lends}},
            "gateway": {"hosts": {head.name: {**serves, **entrance}}},
        }
        inventory = tmp_path / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"all": {"children": groups, "vars": reached}}))
        command = ("ansible-playbook", "-i", str(inventory), str(ROOT / "playbooks/site.yml"), "--skip-tags=verify")
        done = ansible(*command, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    site("--limit", lender.name)
    site()
    key = (tmp_path / ".gguf-fleet/gateway-keys/chat.key").read_text().strip()
    head.sh(f"printf '%s' 'Authorization: Bearer {key}' > /tmp/key")
    ask = f"curl -sSN -m 300 --insecure --header @/tmp/key --json '{json.dumps(STORY)}'"
    ask += " https://localhost/v1/chat/completions"
    head.sh(f"({ask} > /tmp/stream 2>&1 &); {UNTIL.format('grep -q content /tmp/stream')}")
    server = head.sh("pgrep -o llama-server")

    said = site("--limit", lender.name, GGML_RPC_DEBUG="1")
    assert "Restart what computes by the RPC server" in said
    assert head.sh("tail -n 2 /tmp/stream").strip() == "data: [DONE]"
    assert head.sh("pgrep -o llama-server") != server
    # It was given back, and computes by the new one.
    answered = head.sh(f"{ask.replace('250', '4')} -o /dev/null -w '%{{http_code}}'")
    assert answered == "200"


def test_an_address_for_everybody_is_refused(bare_host: Start) -> None:
    worker = bare_host("forky")
    done = worker.play("site.yml", **ENGINE, llama_cpp_rpc={"host": "0.0.0.0"})
    assert done.returncode != 0
    assert "Whoever reaches the RPC server can run code on this host" in done.stdout
