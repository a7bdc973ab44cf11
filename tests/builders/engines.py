# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines for tests of the gateway, on loopback: they read a body as Ollama or llama-server does and note all of it.

They keep to what a gateway must know of engines: the check paths, `model` read as Go's JSON reads it (the last field of
that name counts, in whatever case; Ollama alone), streams in pieces, and the paths that change something, which answer
gladly, so that a test sees a request that should not have come through.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    model: Optional[str]


@dataclass
class Engine:
    """models: what an Ollama has in its store; empty for a llama-server: it serves one model, whatever is asked.

    loads: it answers 503 although its check is good, as after a start. dies: it closes a connection without an answer.
    """

    port: int
    models: tuple[str, ...] = ()
    name: str = ""
    ready: bool = True
    loads: bool = False
    dies: bool = False
    seen: list[Seen] = field(default_factory=list)
    chunks: int = 5
    pause_seconds: float = 0.0
    aborted: int = 0
    at_once: int = 0
    most_at_once: int = 0

    def has(self, model: Optional[str]) -> bool:
        """Ollama's names: no case, and a tag that may be left out."""
        return (model or "").lower().removesuffix(":latest") in self.models

    @property
    def asked(self) -> list[Seen]:
        """All but the gateway's own checks."""
        return [one for one in self.seen if one.method != "GET"]


def go_model(body: bytes) -> Optional[str]:
    """The field `model` as Go's encoding/json finds it."""
    try:
        pairs: list[tuple[str, Any]] = json.loads(body, object_pairs_hook=list)
    except ValueError:
        return None
    found = [value for key, value in pairs if key.lower() == "model"] if isinstance(pairs, list) else []
    return found[-1] if found and isinstance(found[-1], str) else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: Engine
    lock: threading.Lock

    def log_message(self, *_arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self.engine.seen.append(Seen("GET", self.path, dict(self.headers), b"", None))
        model = self.path.removeprefix("/v1/models/")
        known = self.path == "/health" if not self.engine.models else self.engine.has(model)
        # A check leaves when it has read the status.
        with suppress(ConnectionError):
            self._json(200 if known and self.engine.ready else 503, {})

    def do_POST(self) -> None:
        body = self._body()
        asked = go_model(body) if self.engine.models else self.engine.name
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.engine.seen.append(Seen(self.command, self.path, headers, body, asked))
        if self.engine.dies:
            self.close_connection = True
            return
        if self.engine.loads:
            # A gateway that asks another one has left already.
            with suppress(ConnectionError):
                self._json(503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}})
            return
        if self.engine.models and not self.engine.has(asked):
            self._json(404, {"error": f"model '{asked}' not found"})
            return
        with self.lock:
            self.engine.at_once += 1
            self.engine.most_at_once = max(self.engine.most_at_once, self.engine.at_once)
        try:
            if b'"stream":true' in body.replace(b" ", b""):
                self._stream(str(asked))
            else:
                time.sleep(self.engine.pause_seconds)
                self._json(200, {"model": asked, "port": self.engine.port})
        except OSError:
            self.engine.aborted += 1
        finally:
            with self.lock:
                self.engine.at_once -= 1

    do_DELETE = do_PUT = do_OPTIONS = do_POST

    def _body(self) -> bytes:
        if "chunked" not in (self.headers.get("Transfer-Encoding") or ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _json(self, status: int, content: Any) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        # Its own word on other origins, which must not get out.
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, model: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(self.engine.chunks):
            event = f"data: {json.dumps({'model': model, 'number': number})}\n\n".encode()
            self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            self.wfile.flush()
            time.sleep(self.engine.pause_seconds)
        self.wfile.write(b"0\r\n\r\n")


@contextmanager
def serving(*models: str, name: str = "") -> Iterator[Engine]:
    """An Ollama with these models, or a llama-server with the model `name`."""
    engine = Engine(port=0, models=models, name=name)
    handler = type("Handler", (_Handler,), {"engine": engine, "lock": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    engine.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield engine
    finally:
        server.shutdown()
        server.server_close()
