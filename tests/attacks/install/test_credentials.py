# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials in the URL of an archive are for its server, and for no output."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._install import fetch
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.tests.attacks.install.conftest import VERSION, Host
from ansible_collections.gguf.fleet.tests.builders.archives import ollama_tree, tgz
from ansible_collections.gguf.fleet.tests.integration.engines import resolving

USER, PASSWORD, TOKEN = "operator", "hunter2-of-the-mirror", "signature-of-the-mirror"


class Mirror(ThreadingHTTPServer):
    """Gives an archive to whoever knows the password, leads elsewhere, and notes what it was told."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.content = content
        self.told: list[tuple[str, str]] = []


class Answer(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        self.server.told.append((self.path, given))
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/elsewhere")
            self.end_headers()
            return
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.path.startswith("/a.tgz") and given == wanted:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.server.content)))
            self.end_headers()
            self.wfile.write(self.server.content)
        else:
            self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    server = Mirror(tgz(tmp_path / "a.tgz", ollama_tree(VERSION)).read_bytes())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


WAYS = {
    "refused": "http://{user}:{password}@127.0.0.1:{port}/no.tgz?token={token}",
    "nobody listens": "http://{user}:{password}@127.0.0.1:9/a.tgz?token={token}",
    "a wrong checksum": "http://{user}:{password}@127.0.0.1:{port}/a.tgz?token={token}",
    "no such host": "http://{user}:{password}@does-not-exist.invalid/a.tgz?token={token}",
    "a port that is none": "http://{user}:{password}@127.0.0.1:port/a.tgz?token={token}",
    "a password with a slash": "http://{user}:a/{password}@127.0.0.1:{port}/a.tgz?token={token}",
    "another scheme": "ftp://{user}:{password}@127.0.0.1/a.tgz?token={token}",
    "a host that is none": "http://{user}:{password}@[127.0.0.1/a.tgz?token={token}",
}


@pytest.mark.parametrize("url", WAYS.values(), ids=WAYS.keys())
def test_no_message_holds_a_credential_of_the_url(mirror: Mirror, url: str) -> None:
    given = url.format(user=USER, password=PASSWORD, token=TOKEN, port=mirror.server_port)
    with pytest.raises(InstallProblem) as failed:
        fetch.fetch(given, io.BytesIO(), "0" * 64, 1 << 20)
    assert PASSWORD not in str(failed.value)
    assert TOKEN not in str(failed.value)


def test_no_output_of_a_module_holds_a_credential_of_the_url(host: Host, mirror: Mirror, tmp_path: Path) -> None:
    given = WAYS["refused"].format(user=USER, password=PASSWORD, token=TOKEN, port=mirror.server_port)
    name = "ollama-linux-amd64.tar.zst"
    outputs = [
        host.install({"url": given, "sha256": "0" * 64}),
        host.install({"asset": name, "sha256": "0" * 64}, source_url=given),
    ]
    assert [done["rc"] for done in outputs] == [1, 1]
    options: dict[str, Any] = {"version": "0.33.2", "source_url": given, "cache": str(tmp_path / "cache")}
    known: dict[str, Any] = {"checksums": {name: "0" * 64}}
    resolved = [
        resolving.run(trust_mirror_checksums=True, **options),
        resolving.run(host={**resolving.HOST, "zstd": False}, **known, **options),
        resolving.run(**known, **options),
    ]
    assert [done.returncode for done in resolved] == [2, 2, 0], resolved
    for text in [*map(json.dumps, outputs), *(done.stdout + done.stderr for done in resolved)]:
        assert PASSWORD not in text
        assert TOKEN not in text


def test_the_server_gets_them_and_no_other_one(host: Host, mirror: Mirror) -> None:
    place = f"http://{USER}:{PASSWORD}@127.0.0.1:{mirror.server_port}"
    moved = host.install({"url": f"{place}/moved", "sha256": "0" * 64})
    assert "answers 403" in moved["msg"]
    assert [path for path, given in mirror.told if given] == ["/moved"]
    done = host.install({"url": f"{place}/a.tgz", "sha256": hashlib.sha256(mirror.content).hexdigest()})
    assert done["rc"] == 0, done
