# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints to check: the Ollama stand-in, the real llama-server, and servers that misbehave by script."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.gpu.conftest import run_module
from ansible_collections.gguf.fleet.tests.integration.ollama_double.conftest import (
    Running,
    free_port,
    programs,
    start,
)

# Fixtures of others, for the tests beside this file.
__all__ = ["programs", "run_module", "start"]

CHATML = "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"


def create(server: Running, smollm2: SmolLM2, name: str = "smol") -> None:
    digest = server.upload(smollm2.whole)
    parameters = {"num_ctx": 512, "stop": ["<|im_end|>"]}
    request = {
        "model": name,
        "files": {"m.gguf": digest},
        "template": CHATML,
        "parameters": parameters,
        "stream": False,
    }
    assert server.ask("POST", "/api/create", request).json == {"status": "success"}


@pytest.fixture(scope="module")
def llama_server(
    ollama_archives: dict[str, Path], cache_dir: Path, smollm2: SmolLM2, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A real llama-server with the shards as they are, behind a key; its URL."""
    folder, port = cache_dir / "assets" / "llama-server", free_port()
    program = [f"{folder}/ld-linux-x86-64.so.2", "--library-path", str(folder), f"{folder}/llama-server"]
    options = ["-m", str(smollm2.shards[0]), "--alias", "smol", "--port", str(port), "--api-key", "secret"]
    options += ["-c", "512", "-t", "1", "-np", "1", "--no-ui", "--no-warmup"]
    log = tmp_path_factory.mktemp("llama-server") / "log"
    with log.open("w") as stream:
        process = subprocess.Popen([*program, *options], cwd=folder, stdout=stream, stderr=stream)
    try:
        for _attempt in range(200):
            with contextlib.suppress(OSError):
                HTTPConnection("127.0.0.1", port, timeout=5).connect()
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


Scripted = Callable[[dict[str, tuple[int, bytes]]], str]


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """scripted({path: (status, body)}) -> URL of a server that answers so; b'...' at the end of a body hangs there."""
    with contextlib.ExitStack() as stack:

        def _serve(answers: dict[str, tuple[int, bytes]]) -> str:
            class Handler(BaseHTTPRequestHandler):
                def _answer(self) -> None:
                    self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    status, body = answers.get(self.path, (404, b"{}"))
                    self.send_response(status)
                    self.end_headers()
                    self.wfile.write(body.removesuffix(b"..."))
                    if body.endswith(b"..."):
                        self.wfile.flush()
                        time.sleep(5)

                do_GET = do_POST = do_OPTIONS = _answer

                def log_message(self, format: str, *args: object) -> None:
                    pass

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield _serve
