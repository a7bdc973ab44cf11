# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama.cpp from upstream's archives: the change of a release, and one that loads its model and does not generate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.builders.archives import tgz
from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import Host, container, docker, message, sha256

pytestmark = pytest.mark.docker

PROGRAM = """#!/usr/bin/python3
import http.server, json, sys
if "--version" in sys.argv:
    sys.exit("version: 0.7.0 (build {build}, commit 1a2b3c4)")

class Server(http.server.BaseHTTPRequestHandler):
    def answer(self, status, told):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def stream(self, told):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(("data: " + json.dumps(told) + "\\n\\ndata: [DONE]\\n\\n").encode())

    def do_GET(self):
        self.answer(200, {{"status": "ok"}})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != "Bearer secret":
            self.answer(401, {{"error": {{"code": 401, "message": "Invalid API Key"}}}})
        elif {generates}:
            self.stream({{"choices": [{{"text": "yes"}}]}})
        else:
            self.answer(500, {{"error": {{"code": 500, "message": "CUDA error: no kernel image"}}}})

port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Server).serve_forever()
"""


def release(folder: Path, build: int, generates: bool = True) -> dict[str, Any]:
    """The variables that install an upstream archive, which lies on the host."""
    asset = f"llama-b{build}-bin-ubuntu-x64.tar.gz"
    program = PROGRAM.format(build=build, generates=generates).encode()
    path = tgz(folder / asset, {f"llama-b{build}/llama-server": program, f"llama-b{build}/libllama.so": b"library"})
    return {
        "llama_cpp_source": "release",
        "llama_cpp_version": f"b{build}",
        "llama_cpp_release_url": "file:///srv/{asset}",
        "llama_cpp_release_assets": [asset],
        "llama_cpp_checksums": {asset: sha256(path)},
        "llama_cpp_servers": [
            {
                "name": "r1",
                "alias": "deepseek-r1",
                "model": "/srv/smollm2.gguf",
                "port": 8080,
                "parameters": {"api_key": "secret"},
            }
        ],
    }


@pytest.fixture
def host(smollm2: SmolLM2, tmp_path: Path) -> Iterator[Host]:
    yield from container("supervisord", "llama_cpp", smollm2.merged, tmp_path)


def serving(host: Host) -> str:
    return host.sh("curl -fsS http://127.0.0.1:8080/health >&2; pgrep -af -u llama-cpp llama-server")


def test_a_release_takes_over_only_when_it_generates(host: Host, tmp_path: Path) -> None:
    first, broken, second = release(tmp_path, 11669), release(tmp_path, 11670, False), release(tmp_path, 11671)
    for path in tmp_path.glob("*.tar.gz"):
        docker("cp", str(path), f"{host.name}:/srv/{path.name}")
    host.converge(**first)
    assert "/opt/llama.cpp/b11669/bin/llama-server" in serving(host)
    assert host.sh("readlink /opt/llama.cpp/current").strip() == "b11669"
    assert host.converge(**first) == 0

    # A gateway is told before what serves ends; this one does not run, and sends nothing.
    declared = {host.name: {"servers": [], "engines": ["llama_cpp"]}}
    fleet = {"gateways": {host.name: {}}, "instances": [], "hosts": declared}
    text = message(host.play(**broken, gguf_fleet=fleet))
    assert text.index("Drain this host on every gateway") < text.index("deepseek-r1 gives no answer")
    assert f"{host.name}: it failed and stays drained on the gateways" in text
    assert "deepseek-r1 gives no answer: CUDA error: no kernel image" in text
    assert "put back" in text
    assert "/opt/llama.cpp/b11669/" in serving(host)
    assert host.sh("/usr/local/bin/llama-server --version 2>&1; true").startswith("version: 0.7.0 (build 11669")

    # A build with known holes takes over neither from an archive nor as a program that is there.
    assert "b8145 has known remote holes: CVE-2026-27940" in message(host.play(**release(tmp_path, 8145)))
    program = tmp_path / "old-server"
    program.write_text("#!/bin/sh\necho 'version: 4610 (53debe6f)'\n")
    program.chmod(0o755)
    docker("cp", str(program), f"{host.name}:/srv/llama-server")
    there = {**second, "llama_cpp_source": "path", "llama_cpp_path": "/srv/llama-server"}
    assert "b4610 has known remote holes: CVE-2026-27940" in message(host.play(**there))
    assert "/opt/llama.cpp/b11669/" in serving(host)

    assert "drain this host on the gateways" in host.play("", "--check", "--diff", **second, gguf_fleet=fleet).stdout
    done = host.play(**second, gguf_fleet=fleet)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Let the gateways send requests again" in done.stdout
    assert "/opt/llama.cpp/b11671/" in serving(host)
    assert host.converge(**second, gguf_fleet=fleet) == 0
    assert host.sh("readlink /opt/llama.cpp/current /opt/llama.cpp/previous").split() == ["b11671", "b11669"]
    assert host.converge(**second) == 0
