# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two services of one host in one run of engine_service, by a real supervisord: check, run, check again, run again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.integration.engines.hosts import Host, changed, container, docker

pytestmark = pytest.mark.docker
# One that is told to be dumb takes questions and answers none.
ENGINE = """#!/usr/bin/python3
import http.server, os, sys
class Engine(http.server.BaseHTTPRequestHandler):
    def tell(self, told, status=200):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(told.encode())
    def do_GET(self):
        self.tell(os.environ["GREETING"])
    def do_POST(self):
        if self.headers.get("Authorization") != "Bearer " + os.environ["LLAMA_API_KEY"].split(",")[0]:
            return self.tell("{}", 401)
        if os.environ["GREETING"] == "dumb":
            return self.tell("{}", 500)
        self.tell('data: {"choices": [{"text": "yes"}]}\\n\\ndata: [DONE]\\n\\n')
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Engine).serve_forever()
"""
PORTS = {"llama-cpp-a": "8080", "llama-cpp-b": "8081"}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    (tmp_path / "engine").write_text(ENGINE)
    for made in container("supervisord", "engine", Path("/dev/null"), tmp_path, "--network=none"):
        docker("cp", str(tmp_path / "engine"), f"{made.name}:/usr/local/bin/engine")
        made.sh("chmod 755 /usr/local/bin/engine")
        yield made


def run(host: Host, greetings: dict[str, str], *options: str, **more: Any) -> tuple[int, int, str]:
    """The exit code, the number of changes and what was printed."""
    services = [
        {
            **{"name": name, "description": name, "url": f"http://127.0.0.1:{PORTS[name]}", "models": [name]},
            "command": ["/usr/local/bin/engine", PORTS[name]],
            "environment": {"GREETING": greeting, "LLAMA_API_KEY": f"key-of-{name},another-key-of-{name}"},
        }
        for name, greeting in greetings.items()
    ]
    common = {"manager": "supervisord", "user": "daemon", "group": "daemon", "home": "/", "engine": "llama_cpp"}
    task = {"gguf.fleet.engine_service": {**common, "answer_seconds": 20, "services": services, **more}}
    path = host.folder / "play.yml"
    path.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    done = host.play(str(path), *options)
    assert "key-of" not in done.stdout + done.stderr, "a key is shown"
    return done.returncode, changed(done), done.stdout


def served(host: Host) -> list[str]:
    return [host.sh(f"curl -sS -m 5 http://127.0.0.1:{port}/health || true").strip() for port in PORTS.values()]


def test_each_is_started_changed_put_back_and_removed_by_itself(host: Host) -> None:
    wanted = {"llama-cpp-a": "one", "llama-cpp-b": "two"}
    code, changes, told = run(host, wanted, "--check", "--diff")
    assert (code, changes) == (0, 1) and served(host) == ["", ""]
    assert "start llama-cpp-a" in told and "start llama-cpp-b" in told and told.count("bring supervisor") == 1

    assert run(host, wanted)[:2] == (0, 1)
    assert served(host) == ["one", "two"]
    assert run(host, wanted, "--check")[:2] == (0, 0)
    assert run(host, wanted)[:2] == (0, 0)

    # The first does not answer with its new settings, and goes back; the second gets its own all the same.
    code, _changes, told = run(host, {"llama-cpp-a": "dumb", "llama-cpp-b": "three"}, "-vvv")
    assert code != 0 and served(host) == ["one", "three"]
    assert "llama-cpp-a was put back" in told and "serves again" in told
    assert host.sh("ls /var/lib/gguf-fleet/pending").strip() == ""
    assert run(host, {"llama-cpp-a": "one", "llama-cpp-b": "three"})[:2] == (0, 0)

    assert run(host, wanted, state="absent")[:2] == (0, 1)
    assert served(host) == ["", ""] and run(host, wanted, state="absent")[:2] == (0, 0)
    assert json.loads(host.sh("ls /etc/gguf-fleet | grep -c llama-cpp || true")) == 0
