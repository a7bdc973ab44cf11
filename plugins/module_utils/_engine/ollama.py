# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Ollama's HTTP API: models by name, loaded on demand, their place told by /api/ps.

Ollama before 0.12.6 answers a streamed request with 200 and reports the error as a line of the stream, later versions
do so once the stream has begun (streamResponse in ollama server/routes.go); so every line is read, and only a last line
that says success counts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional
from urllib.parse import urlsplit

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import full_name
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem, Stalled
from ansible_collections.gguf.fleet.plugins.module_utils._engine.residency import Resident, resident
from ansible_collections.gguf.fleet.plugins.module_utils._engine.served import no_such_model
from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import (
    as_count,
    as_dict,
    as_dicts,
    as_text,
    decode_json,
)

DEFAULT_PORT = 11434
_STALL_SECONDS = 60.0
_STREAM_BYTES = 4 * 2**20
_UPLOAD_BYTES_PER_SECOND = 2**20
# Copy, hash, rewrite and check of the whole file: each may be as silent as a stall allows.
_CREATE_STAGES = 4


@dataclass(frozen=True)
class Running:
    """A model in memory, by its full name; the digest is that of the manifest by which it was loaded."""

    name: str
    digest: str
    resident: Resident


class Ollama:
    """One server."""

    apis = ("openai", "ollama")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.url = endpoint.url

    @classmethod
    def at(cls, host: str, *, stall_seconds: float = _STALL_SECONDS) -> Ollama:
        """The server at an address as OLLAMA_HOST spells it. Raises EngineProblem for what is none."""
        return cls(Endpoint(base_url(host), silence_seconds=stall_seconds))

    def version(self) -> str:
        """The running server's version."""
        return as_text(self._endpoint.json("GET", "/api/version").get("version"))

    def models(self) -> List[Dict[str, Any]]:
        """What C(/api/tags) lists."""
        return as_dicts(self._endpoint.json("GET", "/api/tags").get("models"))

    def served(self, wanted: Optional[str]) -> str:
        """The wanted model, if the store has it; raises NotThere."""
        if wanted is None:
            raise EngineProblem(f"{self.url}: no model is named.", "Name the model to ask; Ollama serves many.")
        there = [as_text(entry.get("name")) for entry in self.models()]
        if full_name(wanted) not in [full_name(name) for name in there]:
            raise no_such_model(self.url, wanted, there)
        return wanted

    def show(self, name: str) -> Optional[Dict[str, Any]]:
        """The model's structured fields, each of its own type; None when there is no such model."""
        try:
            return _shown(self._endpoint.json("POST", "/api/show", {"model": name}))
        except EngineProblem as problem:
            if problem.status == 404:
                return None
            raise

    def running(self) -> List[Running]:
        """What C(/api/ps) lists: each runner under the name alone that it was loaded by."""
        return [
            Running(
                full_name(as_text(told.get("name")) or as_text(told.get("model"))),
                as_text(told.get("digest")).rpartition(":")[2],
                resident(told),
            )
            for told in as_dicts(self._endpoint.json("GET", "/api/ps").get("models"))
        ]

    def residents(self) -> Dict[str, Resident]:
        """The models in memory, by their full names."""
        return {one.name: one.resident for one in self.running()}

    def resident(self, model: str) -> Resident:
        """A model in memory; nothing is known of one that is not."""
        return self.residents().get(full_name(model), Resident())

    def delete(self, name: str) -> bool:
        """False when there was no such model."""
        try:
            self._endpoint.json("DELETE", "/api/delete", {"model": name})
        except EngineProblem as problem:
            if problem.status == 404:
                return False
            raise
        return True

    def load(self, name: str, limit_seconds: float, keep_alive: Any = None) -> None:
        """Load a model and nothing else, or unload it with keep_alive 0. Not a byte comes until it is there."""
        request: Dict[str, Any] = {"model": name, "stream": False}
        if keep_alive is not None:
            request["keep_alive"] = keep_alive
        try:
            self._endpoint.json("POST", "/api/generate", request, limit_seconds=limit_seconds)
        except Stalled:
            raise Stalled(
                f"{self.url}: {name} was not loaded within {limit_seconds:.0f} s.",
                "Look at the engine's log; allow more seconds when the disk is just slow.",
            ) from None
        except EngineProblem as problem:
            if not problem.status:
                raise
            raise EngineProblem(
                f"{self.url}: {name} does not load: {problem.said or f'HTTP {problem.status}'}.",
                problem.remedy,
                status=problem.status,
                said=problem.said,
            ) from problem

    def has_blob(self, digest: str) -> bool:
        """Whether its store has the blob C(sha256:…)."""
        answer = self._endpoint.ask("HEAD", f"/api/blobs/{digest}")
        if answer.status not in (200, 404):
            raise self._endpoint.refusal(f"/api/blobs/{digest}", answer)
        return answer.status == 200

    def upload_blob(self, digest: str, descriptor: int, *, stall_seconds: Optional[float] = None) -> None:
        """Send an open file; the server copies it into its store and checks the digest."""
        stall = stall_seconds or self._endpoint.silence_seconds
        path = f"/api/blobs/{digest}"
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            size_bytes = os.fstat(file.fileno()).st_size
            limit = stall + size_bytes / _UPLOAD_BYTES_PER_SECOND
            answer = self._endpoint.upload(path, file, size_bytes, limit_seconds=limit, silence_seconds=stall)
        if answer.status >= 300:
            raise self._endpoint.refusal(path, answer)

    def create(self, request: Mapping[str, Any], *, stall_seconds: Optional[float] = None) -> None:
        """Have the server make a model. The caller makes sure that it has `from`: it would try to pull that.

        From 0.30 it copies and hashes a file anew without a word meanwhile, which `stall_seconds` has to allow for.
        """
        last = ""
        path = "/api/create"
        stall = stall_seconds or self._endpoint.silence_seconds
        lines = self._endpoint.lines(
            path,
            {**request, "stream": True},
            limit_seconds=stall * _CREATE_STAGES,
            limit_bytes=_STREAM_BYTES,
            silence_seconds=stall,
        )
        for line in lines:
            try:
                told = as_dict(decode_json(line))
            except ValueError:
                raise self._endpoint.no_engine(path, line) from None
            if "error" in told:
                raise self._endpoint.refused(path, as_count(told.get("status")) or 500, str(told["error"])[:500])
            last = as_text(told.get("status"))
        if last != "success":
            raise EngineProblem(
                f"{self.url}: Ollama broke off while it made {request.get('model')} (last said: '{last[:80]}').",
                "Look at the server's log, then run again.",
            )


def base_url(host: str) -> str:
    """Where to connect to for what OLLAMA_HOST says. Raises EngineProblem."""
    parts = urlsplit(host if "://" in host else f"http://{host}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EngineProblem(
            f"'{host}' is not the address of an Ollama server.", "Give one such as http://127.0.0.1:11434."
        )
    try:
        port = parts.port
    except ValueError:
        raise EngineProblem(f"'{host}' has no valid port.", "Ports go from 1 to 65535.") from None
    # What a server listens on is not what one connects to.
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(parts.hostname, parts.hostname)
    shown = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{shown}:{port or (443 if parts.scheme == 'https' else DEFAULT_PORT)}"


def _shown(told: Mapping[str, Any]) -> Dict[str, Any]:
    texts = {name: as_text(told.get(name)) for name in ("modelfile", "template", "system", "parameters", "license")}
    return {**told, **texts, "messages": as_dicts(told.get("messages")), "details": as_dict(told.get("details"))}
