# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is killed while a real service proves its new version; in a container, so without CAP_SYS_PTRACE."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.integration.engines.hosts import Host, container, docker

pytestmark = pytest.mark.docker
OLD, NEW = "1.0", "2.0"
# The new version takes questions and never answers them.
ENGINE = """#!/usr/bin/python3
import http.server, json, os, time
VERSION = os.path.realpath(__file__).split("/")[3]
class Engine(http.server.BaseHTTPRequestHandler):
    def tell(self, told):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(told.encode())
    def do_GET(self):
        self.tell(json.dumps({"status": "ok", "version": VERSION, "greeting": os.environ["GREETING"]}))
    def do_POST(self):
        print("asked", VERSION, flush=True)
        if VERSION == "2.0":
            time.sleep(600)
        self.tell('data: {"choices": [{"text": "yes"}]}\\n\\ndata: [DONE]\\n\\n')
http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Engine).serve_forever()
"""


def run(host: Host, version: str, *options: str) -> subprocess.CompletedProcess[str]:
    task = {
        "gguf.fleet.engine_service": {
            "name": "demo",
            "manager": "supervisord",
            "root": "/opt/demo",
            "version": version,
            "engine": "llama_cpp",
            "url": "http://127.0.0.1:8080",
            "models": ["demo"],
            "description": "Demo",
            "command": ["/opt/demo/current/bin/engine"],
            "user": "daemon",
            "group": "daemon",
            "home": "/",
            "environment": {"GREETING": f"from {version}"},
        },
        "register": "told",
    }
    tasks: list[Any] = [task, {"ansible.builtin.debug": {"msg": "ACTIONS {{ told.actions | to_json }}"}}]
    path = host.folder / "play.yml"
    path.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    # A module that is piped into Python has no name to be found by.
    return host.play(str(path), *options, ansible_pipelining=False)


def until(host: Host, script: str) -> str:
    end = time.monotonic() + 90
    while not (told := host.sh(script, check=False).strip()):
        assert time.monotonic() < end, script
        time.sleep(0.2)
    return told


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Two versions of the engine are there, and the old one serves."""
    (tmp_path / "engine").write_text(ENGINE)
    for made in container("supervisord", "engine", Path("/dev/null"), tmp_path, "--network=none"):
        made.sh(f"mkdir -p /opt/demo/{OLD}/bin /opt/demo/{NEW}/bin")
        for version in (OLD, NEW):
            docker("cp", str(tmp_path / "engine"), f"{made.name}:/opt/demo/{version}/bin/engine")
            made.sh(f"chmod 755 /opt/demo/{version}/bin/engine")
        first = run(made, OLD)
        assert first.returncode == 0, first.stdout + first.stderr
        yield made


def test_the_next_run_goes_back_to_the_version_that_served(host: Host) -> None:
    upgrade: list[subprocess.CompletedProcess[str]] = []
    thread = threading.Thread(target=lambda: upgrade.append(run(host, NEW)))
    thread.start()
    until(host, f"grep 'asked {NEW}' /var/log/gguf-fleet/demo.log")
    # The module itself is what asks; its wrapper and shell end with it.
    modules = until(host, "grep -la engine_service /proc/[0-9]*/cmdline | cut -d/ -f3").split()
    host.sh(f"kill -9 {' '.join(modules)}", check=False)
    thread.join(90)
    assert upgrade[0].returncode != 0
    assert host.sh("readlink /opt/demo/current").strip() == NEW

    would = run(host, OLD, "--check")
    assert "put back demo: an earlier run ended before its change was proven" in would.stdout
    assert host.sh("readlink /opt/demo/current").strip() == NEW

    again = run(host, OLD)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "put back demo: an earlier run ended before its change was proven" in again.stdout
    assert host.sh("readlink /opt/demo/current").strip() == OLD
    told = json.loads(host.sh("curl -fsS http://127.0.0.1:8080/health"))
    assert (told["version"], told["greeting"]) == (OLD, f"from {OLD}")
    assert host.sh("ls /var/lib/gguf-fleet/pending").strip() == ""
