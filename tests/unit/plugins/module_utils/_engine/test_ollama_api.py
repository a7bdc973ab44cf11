# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama, base_url
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem, Unreachable
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.api_import import ApiPlan, apply
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.config import Source
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.weights import Weights

Handler = Callable[[http.server.BaseHTTPRequestHandler], None]


class Scripted:
    """A server on loopback that does what its script says for each path."""

    def __init__(self) -> None:
        self.script: dict[str, Handler] = {}
        scripted = self

        class _Requests(http.server.BaseHTTPRequestHandler):
            def _handle(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self.body = self.rfile.read(length)
                scripted.script[self.path](self)

            do_GET = do_POST = do_DELETE = do_HEAD = _handle

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Requests)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


def says(status: int, *lines: Any, declared: int | None = None) -> Handler:
    def handle(request: http.server.BaseHTTPRequestHandler) -> None:
        data = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
        request.send_response(status)
        request.send_header("Content-Length", str(len(data) if declared is None else declared))
        request.end_headers()
        request.wfile.write(data)

    return handle


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.server.shutdown()
    server.server.server_close()


SUCCESS = {"status": "success"}


@pytest.mark.parametrize(
    ("status", "lines", "said"),
    [
        (200, [{"status": "parsing GGUF"}, {"error": "disk full", "status": 400}], "400: disk full"),
        (200, [{"error": "invalid model name"}], "500: invalid model name"),
        (200, [{"status": "parsing GGUF"}, {"error": "x"}, SUCCESS], "500: x"),
        (400, [{"error": "neither 'from' or 'files' was specified"}], "400: neither"),
        (500, [b"plain text"], "500: plain text"),
        (200, [{"status": "writing manifest"}], "last said: 'writing manifest'"),
        (200, [], "last said: ''"),
    ],
)
def test_an_error_of_create_is_found_wherever_a_release_puts_it(
    scripted: Scripted, status: int, lines: list[Any], said: str
) -> None:
    scripted.script["/api/create"] = says(status, *lines)
    with pytest.raises(EngineProblem) as caught:
        Ollama.at(scripted.url).create({"model": "m"})
    assert said in caught.value.problem


def test_a_create_that_ends_in_success_is_one(scripted: Scripted) -> None:
    scripted.script["/api/create"] = says(200, {"status": "parsing GGUF"}, SUCCESS)
    Ollama.at(scripted.url).create({"model": "m"})


def test_a_connection_that_breaks_off_in_the_stream_is_an_error(scripted: Scripted) -> None:
    scripted.script["/api/create"] = says(200, {"status": "parsing GGUF"}, declared=10000)
    with pytest.raises(EngineProblem):
        Ollama.at(scripted.url).create({"model": "m"})


def test_a_time_out_is_a_stall_and_not_a_total(scripted: Scripted) -> None:
    def drip(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        for _line in range(6):
            request.wfile.write(b'{"status":"copying"}\n')
            request.wfile.flush()
            time.sleep(0.2)
        request.wfile.write(b'{"status":"success"}\n')

    def silent(_request: http.server.BaseHTTPRequestHandler) -> None:
        time.sleep(2)

    client = Ollama.at(scripted.url, stall_seconds=0.6)
    scripted.script["/api/create"] = drip
    client.create({"model": "m"})
    scripted.script["/api/create"] = silent
    with pytest.raises(EngineProblem, match="not a byte for 1 s"):
        client.create({"model": "m"})


def test_a_create_that_rewrites_a_whole_file_may_be_silent_for_longer(scripted: Scripted) -> None:
    def rewrite(request: http.server.BaseHTTPRequestHandler) -> None:
        time.sleep(0.5)
        says(200, {"status": "verifying conversion"}, SUCCESS)(request)

    client = Ollama.at(scripted.url, stall_seconds=0.2)
    scripted.script["/api/create"] = rewrite
    client.create({"model": "m"}, stall_seconds=5)
    with pytest.raises(EngineProblem, match="not a byte for 0 s"):
        client.create({"model": "m"})


def test_what_the_api_does_with_a_whole_file_may_take_as_long_as_the_file_is_large() -> None:
    class Noting:
        def __init__(self) -> None:
            self.limits: list[float] = []

        def upload_blob(self, _digest: str, _path: str, *, stall_seconds: float) -> None:
            self.limits.append(stall_seconds)

        def create(self, _request: Any, *, stall_seconds: float) -> None:
            self.limits.append(stall_seconds)

    client: Any = Noting()
    weights = Weights("/srv/model.gguf", "0" * 64, 226 * 10**9, Source("llama", 1, None, has_chat_template=False))
    apply(client, ApiPlan({"model": "m"}, "sha256:0", "not there yet", {}, {}), weights)
    assert client.limits == [2560, 2560]


def test_a_load_has_a_limit_of_its_own(scripted: Scripted) -> None:
    scripted.script["/api/generate"] = lambda _request: time.sleep(2)
    with pytest.raises(EngineProblem, match="m was not loaded within 0 s"):
        Ollama.at(scripted.url).load("m", 0.3, keep_alive=-1)


def test_what_is_not_there_is_none_and_other_errors_stay_errors(scripted: Scripted) -> None:
    scripted.script["/api/show"] = says(404, {"error": "model 'm' not found"})
    scripted.script["/api/delete"] = says(404, {"error": "model 'm' not found"})
    client = Ollama.at(scripted.url)
    assert client.show("m") is None
    assert client.delete("m") is False
    scripted.script["/api/show"] = says(500, {"error": "broken"})
    with pytest.raises(EngineProblem) as caught:
        client.show("m")
    assert caught.value.status == 500


def test_nobody_at_the_address_and_somebody_else_at_it_are_told_apart(scripted: Scripted) -> None:
    scripted.script["/api/version"] = says(200, b"<html>hello</html>")
    with pytest.raises(EngineProblem, match="not that of an engine"):
        Ollama.at(scripted.url).version()
    with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:1: nothing listens on port 1\."):
        Ollama.at("127.0.0.1:1").version()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://[::]:8080", "http://[::1]:8080"),
        ("https://models.example", "https://models.example:443"),
    ],
)
def test_an_address_is_read_as_ollama_reads_it(host: str, url: str) -> None:
    assert base_url(host) == url


@pytest.mark.parametrize("host", ["", "ftp://a", "http://a:port", "http://a:70000"])
def test_an_address_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(EngineProblem):
        base_url(host)
