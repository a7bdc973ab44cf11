# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client half of the program: `ollama list`, `create`, `run` and the others talk to a server over HTTP."""

from __future__ import annotations

import http.client
import json
from typing import Any, BinaryIO, Dict, Iterator, Optional

from .environment import Environment

Json = Dict[str, Any]


class ClientProblem(Exception):
    """What the program prints after `Error: `."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Refused(ClientProblem):
    """Nobody listens."""


class Client:
    """Requests to the server that OLLAMA_HOST names."""

    def __init__(self, env: Environment) -> None:
        _scheme, address, self.port = env.host()
        # 0.0.0.0 is where a server listens; a client goes to loopback.
        self.address = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(address, address)

    def _open(self, method: str, path: str, body: Any) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self.address, self.port)
        headers = {"Content-Type": "application/json", "Accept": "application/x-ndjson"}
        data: Any = body
        if isinstance(body, dict):
            data = json.dumps(body).encode()
        elif body is not None:
            headers = {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"}
        try:
            try:
                connection.request(
                    method, path, data, headers, encode_chunked=body is not None and not isinstance(body, dict)
                )
            except (BrokenPipeError, ConnectionResetError):
                # The server answers 200 without reading a blob that it has.
                pass
            return connection.getresponse()
        except ConnectionRefusedError as problem:
            text = "dial tcp %s:%d: connect: connection refused" % (self.address, self.port)
            raise Refused(text) from problem
        except (OSError, http.client.HTTPException) as problem:
            raise ClientProblem(str(problem)) from problem

    def call(self, method: str, path: str, body: Optional[Json] = None) -> Json:
        """One answer."""
        answer = self._open(method, path, body)
        data = answer.read()
        if answer.status >= 400:
            raise ClientProblem(_message(data, answer), answer.status)
        return json.loads(data) if data.strip().startswith(b"{") else {}

    def stream(self, method: str, path: str, body: Json) -> Iterator[Json]:
        """Lines of an answer; an error line ends it."""
        answer = self._open(method, path, body)
        if answer.status >= 400:
            raise ClientProblem(_message(answer.read(), answer), answer.status)
        for raw in answer:
            if raw.strip():
                line: Json = json.loads(raw)
                if "error" in line:
                    raise ClientProblem(str(line["error"]), int(line.get("status", 500)))
                yield line

    def upload(self, digest: str, stream: BinaryIO) -> None:
        """POST a blob; there is no HEAD before it."""
        answer = self._open("POST", "/api/blobs/" + digest, iter(lambda: stream.read(1 << 20), b""))
        data = answer.read()
        if answer.status >= 400:
            raise ClientProblem(_message(data, answer), answer.status)


def _message(data: bytes, answer: http.client.HTTPResponse) -> str:
    try:
        return str(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return "%d %s" % (answer.status, answer.reason)
