# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host gets fewer instances of a model while clients stream: gateway, engines and everything else are real."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.ansible_runs import CHECKOUT, ansible
from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.bare_host import release
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import Host, container

pytestmark = [pytest.mark.docker, pytest.mark.long]
URL = "https://localhost/v1/chat/completions"
STORY = {
    "model": "smol",
    "stream": True,
    "max_tokens": 1200,
    "messages": [{"role": "user", "content": "Write a very long story about a river."}],
}


@pytest.fixture
def host(gateway_image: str, smollm2: SmolLM2, tmp_path: Path) -> Iterator[Host]:
    """Gateway and engines in one."""
    shards = smollm2.shards[0].parent
    image = gateway_image.rpartition("gguf-fleet-")[2]
    more = ("--network=none", f"--volume={shards}:{shards}:ro")
    yield from container("supervisord", "ollama", smollm2.merged, tmp_path, *more, image=image)


def site(host: Host, archive: dict[str, str], shards: Path, replicas: int) -> str:
    model = {"name": "smol", "template": "chatml", "parameters": {"num_ctx": 2048}, "replicas": replicas}
    variables: dict[str, Any] = {
        "ansible_connection": "community.docker.docker",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_become": False,
        "ollama_checksums_file": str(host.folder / "digests"),
        **archive,
        "ollama_expect_gpu": False,
        "models_serve": [{**model, "source": {"hub": "path", "path": str(shards)}}],
        "gateway_name": "localhost",
        "gateway_transport": "plain",
        "gateway_clients": [{"name": "chat"}],
    }
    inventory = host.folder / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"gateway": {"hosts": {host.name: {}}, "vars": variables}}))
    command = ("ansible-playbook", "-i", str(inventory), str(CHECKOUT / "playbooks/site.yml"), "--skip-tags=verify")
    done: subprocess.CompletedProcess[str] = ansible(*command, seconds=540)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_streams_of_an_instance_that_leaves_come_to_their_end(
    host: Host, smollm2: SmolLM2, ollama_archives: dict[str, Path]
) -> None:
    shards, archive = smollm2.shards[0].parent, release(ollama_archives, "0.5.7")
    site(host, archive, shards, 2)
    key = (host.folder / ".gguf-fleet/gateway-keys/chat.key").read_text().strip()
    host.sh(f"printf '%s' 'Authorization: Bearer {key}' > /tmp/key")
    ask = f"curl -sSN -m 500 --insecure --header @/tmp/key --json '{json.dumps(STORY)}' {URL}"
    for number in (1, 2):
        subprocess.run(
            ["docker", "exec", "--detach", host.name, "sh", "-c", f"{ask} > /tmp/stream-{number} 2>&1"], check=True
        )
    host.sh("until grep -q content /tmp/stream-1 && grep -q content /tmp/stream-2; do sleep 0.1; done")
    pids = host.sh("/usr/local/lib/gguf-fleet/supervisorctl pid ollama ollama-2").split()

    said = site(host, archive, shards, 1)
    assert "changed: [" in said.partition("Drain what is going to be removed on every gateway")[2].partition("TASK")[0]
    for number in (1, 2):
        assert host.sh(f"tail -n 2 /tmp/stream-{number}").strip() == "data: [DONE]"
    # The other one was not touched.
    assert host.sh("/usr/local/lib/gguf-fleet/supervisorctl pid ollama").split() == pids[:1]
    assert host.sh("curl -s -m 5 http://127.0.0.1:11435/ || echo gone").strip() == "gone"
    answered = host.sh(f"{ask.replace('1200', '4')} -o /dev/null -w '%{{http_code}}'")
    assert answered == "200"
    # There again, it gets requests again, also before the gateway is set up anew.
    site(host, archive, shards, 2)
    assert ",UP," in host.sh(
        "python3 -c \"import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/gguf-fleet/gateway.sock'); "
        "s.sendall(b'show stat -1 4 -1\\n'); print(s.recv(65536).decode())\" | grep ollama-2"
    )
