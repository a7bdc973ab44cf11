# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Ollama's HTTP API, as far as models are concerned.

The time-outs are stalls: seconds without a byte, never a total. Ollama before 0.12.6 answers a streamed request with
200 and reports the error as a line of the stream, later versions do so once the stream has begun (streamResponse in
ollama server/routes.go); so every line is read, and only a last line that says success counts.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from typing import Any, Dict, Iterator, List, Mapping, Optional
from urllib.parse import urlsplit

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem

DEFAULT_PORT = 11434
_STALL_SECONDS = 60.0
_MAX_ANSWER_BYTES = 64 * 2**20
_UPLOAD_BYTES = 2**20


class ServerProblem(OllamaProblem):
    """The server does not do what it was asked for; `status` is its HTTP status, 0 when there was none."""

    def __init__(self, problem: str, remedy: str, *, status: int = 0) -> None:
        super().__init__(problem, remedy)
        self.status = status


class Unreachable(ServerProblem):
    """Nothing answers at the address."""


class Stalled(ServerProblem):
    """Nothing came for as long as was allowed."""


class Client:
    """One server. A connection is opened for each request: loads and creations are long and far between."""

    def __init__(self, host: str, *, stall_seconds: float = _STALL_SECONDS) -> None:
        parts = urlsplit(host if "://" in host else f"http://{host}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServerProblem(
                f"'{host}' is not the address of an Ollama server.", "Give one such as http://127.0.0.1:11434."
            )
        try:
            port = parts.port
        except ValueError:
            raise ServerProblem(f"'{host}' has no valid port.", "Ports go from 1 to 65535.") from None
        # What a server listens on is not what one connects to.
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(parts.hostname, parts.hostname)
        self._secure = parts.scheme == "https"
        self._address = (name, port or (443 if self._secure else DEFAULT_PORT))
        self._stall_seconds = stall_seconds
        shown = f"[{name}]" if ":" in name else name
        self.url = f"{parts.scheme}://{shown}:{self._address[1]}"

    def version(self) -> str:
        return str(self._json("GET", "/api/version").get("version", ""))

    def models(self) -> List[Dict[str, Any]]:
        """What `/api/tags` lists."""
        return list(self._json("GET", "/api/tags").get("models") or [])

    def show(self, name: str) -> Optional[Dict[str, Any]]:
        """The model's structured fields; None when there is no such model."""
        try:
            return self._json("POST", "/api/show", {"model": name})
        except ServerProblem as problem:
            if problem.status == 404:
                return None
            raise

    def running(self) -> List[Dict[str, Any]]:
        """What `/api/ps` lists: the models in memory."""
        return list(self._json("GET", "/api/ps").get("models") or [])

    def delete(self, name: str) -> bool:
        """False when there was no such model."""
        try:
            self._json("DELETE", "/api/delete", {"model": name})
        except ServerProblem as problem:
            if problem.status == 404:
                return False
            raise
        return True

    def load(self, name: str, keep_alive: Any, *, limit_seconds: float) -> None:
        """Load a model, or unload it with keep_alive 0; nothing is sent before it is there, hence the limit."""
        request = {"model": name, "keep_alive": keep_alive, "stream": False}
        try:
            self._json("POST", "/api/generate", request, stall_seconds=limit_seconds)
        except Stalled:
            raise ServerProblem(
                f"Ollama at {self.url} did not load {name} within {limit_seconds:.0f} seconds.",
                "Look at the server's log; give a larger load_timeout when the disk is just slow.",
            ) from None

    def has_blob(self, digest: str) -> bool:
        with self._answer("HEAD", f"/api/blobs/{digest}") as answer:
            if answer.status not in (200, 404):
                raise self._refused("HEAD", f"/api/blobs/{digest}", answer.status, "")
            return answer.status == 200

    def upload_blob(self, digest: str, path: str, *, stall_seconds: Optional[float] = None) -> None:
        """Send a file; the server copies it into its store and checks the sum."""
        with open(path, "rb") as file:
            headers = {"Content-Length": str(os.fstat(file.fileno()).st_size)}
            with self._answer("POST", f"/api/blobs/{digest}", file, headers, stall_seconds=stall_seconds) as answer:
                self._decoded("POST", f"/api/blobs/{digest}", answer)

    def create(self, request: Mapping[str, Any], *, stall_seconds: Optional[float] = None) -> None:
        """Have the server make a model. The caller makes sure that it has `from`: it would try to pull that.

        From 0.30 it copies and hashes a file anew without a word meanwhile, which `stall_seconds` has to allow for.
        """
        last = ""
        body = json.dumps({**request, "stream": True})
        with self._answer("POST", "/api/create", body, stall_seconds=stall_seconds) as answer:
            if answer.status != 200:
                self._decoded("POST", "/api/create", answer)
            for line in self._lines(answer):
                if "error" in line:
                    raise self._refused("POST", "/api/create", int(line.get("status") or 500), str(line["error"]))
                last = str(line.get("status", ""))
        if last != "success":
            raise ServerProblem(
                f"Ollama at {self.url} broke off while it made {request.get('model')} (last said: '{last}').",
                "Look at the server's log, then run again.",
            )

    # --- transport

    def _json(
        self, method: str, path: str, body: Optional[Mapping[str, Any]] = None, *, stall_seconds: Optional[float] = None
    ) -> Dict[str, Any]:
        text = None if body is None else json.dumps(body)
        with self._answer(method, path, text, stall_seconds=stall_seconds) as answer:
            return self._decoded(method, path, answer)

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Optional[Dict[str, str]] = None,
        *,
        stall_seconds: Optional[float] = None,
    ) -> Iterator[http.client.HTTPResponse]:
        make = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = make(*self._address, timeout=self._stall_seconds, blocksize=_UPLOAD_BYTES)
        limit = stall_seconds or self._stall_seconds
        if isinstance(body, str):
            body = body.encode()
            headers = {"Content-Type": "application/json"}
        try:
            try:
                connection.connect()
            except OSError as error:
                raise Unreachable(
                    f"No Ollama server answers at {self.url} ({error.strerror or error}).",
                    "Start it first, or give the address that its OLLAMA_HOST names.",
                ) from None
            connection.sock.settimeout(limit)
            try:
                connection.request(method, path, body, headers or {})
                yield connection.getresponse()
            except socket.timeout:
                raise Stalled(
                    f"Ollama at {self.url} sent nothing for {limit:.0f} seconds ({method} {path}).",
                    "Look at the server's log, then run again.",
                ) from None
            except (OSError, http.client.HTTPException) as error:
                raise ServerProblem(
                    f"The connection to Ollama at {self.url} broke ({method} {path}: {error!r}).",
                    "Look at the server's log, then run again.",
                ) from None
        finally:
            connection.close()

    def _decoded(self, method: str, path: str, answer: http.client.HTTPResponse) -> Dict[str, Any]:
        data = answer.read(_MAX_ANSWER_BYTES)
        try:
            content = json.loads(data) if data.strip() else {}
        except ValueError:
            content = None
        if answer.status >= 400:
            said = content.get("error") if isinstance(content, dict) else data[:200].decode(errors="replace")
            raise self._refused(method, path, answer.status, str(said or ""))
        if not isinstance(content, dict):
            raise ServerProblem(
                f"What answers at {self.url} is not Ollama ({method} {path} gave {data[:60]!r}).",
                "Check the address and what else listens there.",
            )
        return content

    def _lines(self, answer: http.client.HTTPResponse) -> Iterator[Dict[str, Any]]:
        while True:
            line = answer.readline(_MAX_ANSWER_BYTES)
            if not line:
                return
            if line.strip():
                content = json.loads(line)
                if isinstance(content, dict):
                    yield content

    def _refused(self, method: str, path: str, status: int, said: str) -> ServerProblem:
        return ServerProblem(
            f"Ollama at {self.url} answered {method} {path} with {status}: {said or 'no reason given'}.",
            _remedy_of(status, said),
            status=status,
        )


def _remedy_of(status: int, said: str) -> str:
    """What helps against the answers that are known to mislead."""
    if status == 403:
        return "A server that listens on loopback takes requests for local names only; use 127.0.0.1 as host."
    if "operation not permitted" in said:
        return "From 0.21 `create` needs blobs that the server's user owns; use import: store, which does not."
    if "requires more system memory" in said or "out of memory" in said:
        return "Lower num_ctx or num_gpu, or choose a smaller quant."
    if "invalid split file" in said or "split" in said:
        return "Merge the shards first, with gguf_merge or gguf_download's layout merged."
    return "Look at the server's log for the reason."
