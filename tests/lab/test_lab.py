# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running lab (tests/lab/test.sh starts it), seen by its clients and by an operator on its hosts."""

from __future__ import annotations

import filecmp
import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2

pytestmark = pytest.mark.docker

NET = os.environ["GGUF_FLEET_LAB_NET"]
ENDPOINTS = {
    "h20-01": (f"{NET}.11", 11434),
    "rtx4090-01": (f"{NET}.12", 11434),
    "cpp-01": (f"{NET}.13", 8080),
}
ENTRANCE = f"https://{NET}.14"
BESIDE = Path(__file__).parents[2] / "inventories" / "lab" / ".gguf-fleet"


def on(host: str, *argv: str) -> str:
    return subprocess.run(
        ["docker", "exec", f"gguf-fleet-lab-{host}", *argv], text=True, capture_output=True, check=True
    ).stdout


def curl(*arguments: str, client: str) -> str:
    return on(client, "curl", "--silent", "--show-error", "--fail", "--max-time", "120", *arguments)


QUESTION = {
    "model": "smollm2",
    "temperature": 0,
    "max_tokens": 24,
    "messages": [{"role": "user", "content": "Name the capital of France."}],
}


def chat(endpoint: str, client: str) -> str:
    body = json.dumps(QUESTION)
    answer = curl("--json", body, f"{endpoint}/v1/chat/completions", client=client)
    return json.loads(answer)["choices"][0]["message"]["content"]


@pytest.mark.parametrize("host", ENDPOINTS)
def test_every_engine_answers_on_its_host_and_nobody_beside_it(host: str) -> None:
    address, port = ENDPOINTS[host]
    other = next(name for name in ENDPOINTS if name != host)
    assert "Paris" in chat(f"http://127.0.0.1:{port}", client=host)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        curl(f"http://{address}:{port}/v1/models", client=other)
    assert "Failed to connect" in refused.value.stderr or "Could not connect" in refused.value.stderr


def test_one_address_with_a_key_leads_to_the_model_of_all_hosts() -> None:
    trust = ssl.create_default_context(cafile=str(BESIDE / "authority" / "ca.pem"))
    key = (BESIDE / "gateway-keys" / "lab.key").read_text().strip()
    body = json.dumps({**QUESTION, "model": "smollm2:latest"}).encode()
    asked = urllib.request.Request(f"{ENTRANCE}/v1/chat/completions", body, {"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(asked, timeout=120, context=trust) as answer:
        assert "Paris" in json.load(answer)["choices"][0]["message"]["content"]
    ends = Endpoint(ENTRANCE, silence_seconds=30, ca_file=str(BESIDE / "authority" / "ca.pem")).certificate_ends()
    assert ends is not None and 300 < (ends - time.time()) / 86400 < 366
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{ENTRANCE}/v1/models", timeout=30, context=trust)
    state = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/gguf-fleet/gateway.sock');"
        " s.sendall(b'show stat -1 4 -1\\n'); print(s.recv(2**20).decode())"
    )
    rows = [line.split(",") for line in on("gw-01", "python3", "-c", state).splitlines() if ",UP," in line]
    assert {row[1].partition("_")[0] for row in rows} >= set(ENDPOINTS)


@pytest.mark.parametrize("host", ["h20-01", "rtx4090-01"])
def test_the_merged_file_is_byte_for_byte_what_llama_gguf_split_merges(
    host: str, smollm2: SmolLM2, tmp_path: Path
) -> None:
    (path,) = on(host, "find", "/srv/gguf-fleet/models", "-name", "*.gguf", "-type", "f").split()
    subprocess.run(
        ["docker", "cp", "--quiet", f"gguf-fleet-lab-{host}:{path}", str(tmp_path / "merged.gguf")], check=True
    )
    assert filecmp.cmp(tmp_path / "merged.gguf", smollm2.merged, shallow=False)


@pytest.mark.parametrize("host", ["h20-01", "rtx4090-01"])
def test_the_engine_was_given_the_file_without_a_copy(host: str) -> None:
    (path,) = on(host, "find", "/srv/gguf-fleet/models", "-name", "*.gguf", "-type", "f").split()
    blobs = on(host, "find", "/var/lib/ollama/models/blobs", "-samefile", path).split()
    assert len(blobs) == 1
    assert on(host, "stat", "--format", "%U %a", path).split() == ["root", "444"]


def test_llama_cpp_serves_the_shards_as_they_are() -> None:
    command = on("cpp-01", "ps", "-o", "args=", "-C", "llama-server")
    assert "-00001-of-00005.gguf" in command
    assert on("cpp-01", "find", "/srv/gguf-fleet/models", "-name", "*.gguf").count("-of-00005.gguf") == 5


def test_a_browser_may_call_the_gateway_from_the_page_that_is_listed() -> None:
    trust = ssl.create_default_context(cafile=str(BESIDE / "authority" / "ca.pem"))
    headers = {"Origin": "http://desk.example", "Access-Control-Request-Method": "POST"}
    asked = urllib.request.Request(f"{ENTRANCE}/v1/chat/completions", headers=headers, method="OPTIONS")
    with urllib.request.urlopen(asked, timeout=30, context=trust) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "http://desk.example"


def test_the_host_without_systemd_brings_its_engine_back_after_a_crash() -> None:
    before = on("rtx4090-01", "pgrep", "-u", "ollama", "-o")
    on("rtx4090-01", "kill", "-KILL", before.strip())
    version = "http://127.0.0.1:11434/api/version"
    curl("--retry", "30", "--retry-connrefused", "--retry-delay", "1", version, client="rtx4090-01")
    assert on("rtx4090-01", "pgrep", "-u", "ollama", "-o") != before
