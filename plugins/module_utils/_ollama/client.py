# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Ollama's HTTP API, as far as models are concerned.

Every exchange ends in time, and no answer is longer than it can rightly be. Ollama before 0.12.6 answers a streamed
request with 200 and reports the error as a line of the stream, later versions do so once the stream has begun
(streamResponse in ollama server/routes.go); so every line is read, and only a last line that says success counts.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
from typing import Any, Dict, Iterator, List, Mapping, Optional
from urllib.parse import urlsplit

from ansible_collections.gguf.fleet.plugins.module_utils._http.deadline import (
    AnswerProblem,
    Connection,
    Deadline,
    read_answer,
    read_lines,
)
from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import (
    as_count,
    as_dict,
    as_dicts,
    as_text,
    decode_json,
)
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem

DEFAULT_PORT = 11434
_STALL_SECONDS = 60.0
# `show` of a model with its licence, template and list of tensors has some 300 kB.
_MAX_ANSWER_BYTES = 4 * 2**20
_MAX_LINE_BYTES = 64 * 2**10
_UPLOAD_BYTES = 2**20
_UPLOAD_BYTES_PER_SECOND = 2**20
# Copy, hash, rewrite and check of the whole file: each may be as silent as a stall allows.
_CREATE_STAGES = 4
_MAX_SAID_CHARACTERS = 500


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
        return as_text(self._json("GET", "/api/version").get("version"))

    def models(self) -> List[Dict[str, Any]]:
        """What `/api/tags` lists."""
        return as_dicts(self._json("GET", "/api/tags").get("models"))

    def show(self, name: str) -> Optional[Dict[str, Any]]:
        """The model's structured fields, each of its own type; None when there is no such model."""
        try:
            return _shown(self._json("POST", "/api/show", {"model": name}))
        except ServerProblem as problem:
            if problem.status == 404:
                return None
            raise

    def running(self) -> List[Dict[str, Any]]:
        """What `/api/ps` lists: the models in memory."""
        return as_dicts(self._json("GET", "/api/ps").get("models"))

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
            self._json("POST", "/api/generate", request, limit_seconds=limit_seconds)
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

    def upload_blob(self, digest: str, descriptor: int, *, stall_seconds: Optional[float] = None) -> None:
        """Send an open file; the server copies it into its store and checks the sum."""
        stall = stall_seconds or self._stall_seconds
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            size_bytes = os.fstat(file.fileno()).st_size
            headers = {"Content-Length": str(size_bytes)}
            limit = stall + size_bytes / _UPLOAD_BYTES_PER_SECOND
            address = f"/api/blobs/{digest}"
            with self._answer("POST", address, file, headers, limit_seconds=limit, stall_seconds=stall) as answer:
                self._decoded("POST", address, answer)

    def create(self, request: Mapping[str, Any], *, stall_seconds: Optional[float] = None) -> None:
        """Have the server make a model. The caller makes sure that it has `from`: it would try to pull that.

        From 0.30 it copies and hashes a file anew without a word meanwhile, which `stall_seconds` has to allow for.
        """
        last = ""
        body = json.dumps({**request, "stream": True})
        stall = stall_seconds or self._stall_seconds
        limit = stall * _CREATE_STAGES
        with self._answer("POST", "/api/create", body, limit_seconds=limit, stall_seconds=stall) as answer:
            if answer.status != 200:
                self._decoded("POST", "/api/create", answer)
            for line in self._lines(answer):
                if "error" in line:
                    raise self._refused("POST", "/api/create", as_count(line.get("status")) or 500, line["error"])
                last = as_text(line.get("status"))
        if last != "success":
            raise ServerProblem(
                f"Ollama at {self.url} broke off while it made {request.get('model')} (last said: '{last[:80]}').",
                "Look at the server's log, then run again.",
            )

    # --- transport

    def _json(
        self, method: str, path: str, body: Optional[Mapping[str, Any]] = None, *, limit_seconds: Optional[float] = None
    ) -> Dict[str, Any]:
        text = None if body is None else json.dumps(body)
        with self._answer(method, path, text, limit_seconds=limit_seconds) as answer:
            return self._decoded(method, path, answer)

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Optional[Dict[str, str]] = None,
        *,
        limit_seconds: Optional[float] = None,
        stall_seconds: Optional[float] = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """One exchange: all of it within the limit, and with a stall, no byte later than that after the one before."""
        limit = limit_seconds or self._stall_seconds
        connection = Connection(
            *self._address,
            Deadline(limit),
            context=ssl.create_default_context() if self._secure else None,
            silence_seconds=stall_seconds,
            blocksize=_UPLOAD_BYTES,
        )
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
            try:
                connection.request(method, path, body, headers or {})
                yield connection.getresponse()
            except socket.timeout:
                raise self._stalled(method, path, limit, stall_seconds) from None
            except AnswerProblem as error:
                if error.reason == "too-slow":
                    raise self._stalled(method, path, limit, stall_seconds) from None
                raise ServerProblem(error.problem, error.remedy) from None
            except (OSError, http.client.HTTPException) as error:
                raise ServerProblem(
                    f"The connection to Ollama at {self.url} broke ({method} {path}: {error!r}).",
                    "Look at the server's log, then run again.",
                ) from None
        finally:
            connection.close()

    def _decoded(self, method: str, path: str, answer: http.client.HTTPResponse) -> Dict[str, Any]:
        what = f"The answer of {self.url} to {method} {path}"
        data = read_answer(answer, limit_bytes=_MAX_ANSWER_BYTES, what=what)
        try:
            content = decode_json(data) if data.strip() else {}
        except ValueError:
            content = None
        if answer.status >= 400:
            said = content.get("error") if isinstance(content, dict) else data.decode(errors="replace")
            raise self._refused(method, path, answer.status, said)
        if not isinstance(content, dict):
            raise self._no_ollama(method, path, data)
        return content

    def _lines(self, answer: http.client.HTTPResponse) -> Iterator[Dict[str, Any]]:
        what = f"The answer of {self.url} to POST /api/create"
        for line in read_lines(answer, line_bytes=_MAX_LINE_BYTES, limit_bytes=_MAX_ANSWER_BYTES, what=what):
            if line.strip():
                try:
                    content = decode_json(line)
                except ValueError:
                    raise self._no_ollama("POST", "/api/create", line) from None
                if isinstance(content, dict):
                    yield content

    def _stalled(self, method: str, path: str, limit: float, stall: Optional[float]) -> Stalled:
        late = f"was not done within {limit:.0f} seconds"
        told = late if stall is None else f"sent nothing for {stall:.0f} seconds, or {late}"
        return Stalled(f"Ollama at {self.url} {told} ({method} {path}).", "Look at the server's log, then run again.")

    def _no_ollama(self, method: str, path: str, data: bytes) -> ServerProblem:
        return ServerProblem(
            f"What answers at {self.url} is not Ollama ({method} {path} gave {data[:60]!r}).",
            "Check the address and what else listens there.",
        )

    def _refused(self, method: str, path: str, status: int, error: Any) -> ServerProblem:
        said = str(error or "no reason given")[:_MAX_SAID_CHARACTERS]
        return ServerProblem(
            f"Ollama at {self.url} answered {method} {path} with {status}: {said}.",
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


def _shown(told: Mapping[str, Any]) -> Dict[str, Any]:
    texts = {name: as_text(told.get(name)) for name in ("modelfile", "template", "system", "parameters", "license")}
    return {**told, **texts, "messages": as_dicts(told.get("messages")), "details": as_dict(told.get("details"))}
