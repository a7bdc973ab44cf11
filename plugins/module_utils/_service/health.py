# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Whether an engine that was just started serves: its API, its version, a generation, where the model lies."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from ansible_collections.gguf.fleet.plugins.module_utils._http.deadline import (
    AnswerProblem,
    Connection,
    Deadline,
    read_answer,
)
from ansible_collections.gguf.fleet.plugins.module_utils._service import peer
from ansible_collections.gguf.fleet.plugins.module_utils._service.manager import State, last_words
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem

# Ollama that somebody built by hand calls itself so.
UNVERSIONED = "0.0.0"
# Two looks at the same generation differ by rounding; less than this much of the model is no move to the CPU.
SHARE_TOLERANCE = 0.02
# The longest answer is the list of a store's models.
ANSWER_BYTES = 16 * 2**20
# What ends an exchange without an answer.
FAILURES = (OSError, http.client.HTTPException, ValueError, AnswerProblem)


@dataclass(frozen=True)
class Endpoint:
    """Where a service is asked, and which process it is now (0: none)."""

    url: str
    pid: Callable[[], int]


@dataclass(frozen=True)
class Wanted:
    """What healthy means for one service."""

    engine: str
    url: str
    version: Optional[str]
    models: Tuple[str, ...]
    gpus: bool
    answer_seconds: float
    load_seconds: float
    api_key: str = ""


@dataclass(frozen=True)
class Health:
    """What was proven, for the result."""

    version: str = ""
    model: str = ""
    gpu_share: Optional[float] = None


class _ToTheService(Connection):
    """A connection that is only used when the service itself has accepted it."""

    def __init__(self, pid: Callable[[], int], *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._pid = pid

    def _dial(self, address: Tuple[str, int], *_args: Any) -> socket.socket:
        sock = super()._dial(address)
        try:
            peer.prove(sock, self._pid, seconds=min(peer.ACCEPT_SECONDS, self.deadline.left()))
        except BaseException:
            sock.close()
            raise
        return sock


def request(
    endpoint: Endpoint, method: str, path: str, body: Optional[Dict[str, Any]], seconds: float, *, api_key: str = ""
) -> Tuple[int, bytes]:
    """Raises NotTheService before anything is sent, else one of FAILURES."""
    parts = urlsplit(endpoint.url)
    context = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if context else 80)
    connection = _ToTheService(
        endpoint.pid, parts.hostname or "127.0.0.1", port, Deadline(seconds), context=context, silence_seconds=seconds
    )
    try:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        return answer.status, read_answer(answer, limit_bytes=ANSWER_BYTES, what=f"The answer of {path}")
    finally:
        connection.close()


def parsed(data: bytes) -> Any:
    """JSON of somebody else. Raises ValueError, also for what is nested too deeply."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def ask(endpoint: Endpoint, path: str, seconds: float = 10.0) -> Optional[Dict[str, Any]]:
    """A GET that may fail: the parsed answer or nothing."""
    try:
        status, data = request(endpoint, "GET", path, None, seconds)
        told = parsed(data) if status == 200 else None
    except (*FAILURES, peer.NotTheService):
        return None
    return told if isinstance(told, dict) else None


def loaded(endpoint: Endpoint) -> Dict[str, Dict[str, Any]]:
    """The models in memory, by name (nothing for an engine that cannot tell)."""
    return {str(model.get("name")): model for model in _models(ask(endpoint, "/api/ps"))}


def _models(told: Optional[Dict[str, Any]]) -> List[Dict[str, Any]]:
    models = (told or {}).get("models")
    return [model for model in models if isinstance(model, dict)] if isinstance(models, list) else []


def share(model: Dict[str, Any]) -> Optional[float]:
    size, on_gpus = model.get("size"), model.get("size_vram") or 0
    if not isinstance(size, (int, float)) or not isinstance(on_gpus, (int, float)) or not size:
        return None
    return on_gpus / size


def full_name(name: str) -> str:
    return (name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest").lower()


def shares(endpoint: Endpoint) -> Dict[str, float]:
    """How much of each loaded model lies in GPU memory."""
    told = {full_name(name): share(model) for name, model in loaded(endpoint).items()}
    return {name: value for name, value in told.items() if value is not None}


def wait_for_answer(
    wanted: Wanted,
    endpoint: Endpoint,
    state: Callable[[], State],
    log_tail: Callable[[int], List[str]],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Until the API answers; the version that it tells. Ends early when the process keeps crashing."""
    path = "/api/version" if wanted.engine == "ollama" else "/health"
    first = state().restarts
    begun = clock()
    limit = wanted.answer_seconds
    seen = "no answer"
    while clock() - begun < limit:
        try:
            status, data = request(endpoint, "GET", path, None, 10.0)
            if status == 200:
                return _told_version(wanted, data)
            seen = f"HTTP {status}"
            if status == 503 and wanted.engine == "llama_cpp":
                # The socket opens before the model is read, so from here on it is the load that takes the time.
                limit, seen = wanted.load_seconds, "HTTP 503, the model is being loaded"
        except peer.NotTheService as error:
            # It may be the one who stands in the way of a service that is just coming up.
            seen = error.problem
        except FAILURES as error:
            seen = str(error) or type(error).__name__
        now = state()
        if now.restarts >= first + 2 or (
            not now.active and now.failure and now.restarts == first and clock() - begun > 5
        ):
            raise _unhealthy("it ends again and again" + (f" ({now.failure})" if now.failure else ""), log_tail)
        sleep(0.25 if clock() - begun < 5 else 1.0)
    raise _unhealthy(f"{wanted.url}{path} gave no good answer within {limit:.0f} s ({seen})", log_tail)


def _told_version(wanted: Wanted, data: bytes) -> str:
    try:
        told = parsed(data)
    except ValueError:
        told = {}
    version = str(told.get("version", "")) if isinstance(told, dict) else ""
    if wanted.engine == "ollama" and wanted.version and version not in (wanted.version, UNVERSIONED):
        raise ServiceProblem(
            f"{wanted.url} is answered by Ollama {version or 'without a version'}, not by {wanted.version}.",
            "Something else holds the port, or the new version did not start.",
        )
    return version


def _unhealthy(what: str, log_tail: Callable[[int], List[str]]) -> ServiceProblem:
    return ServiceProblem(f"the service is not healthy: {what}.{last_words(log_tail)}", "")


def generate(wanted: Wanted, endpoint: Endpoint, before: Dict[str, float]) -> Health:
    """A real answer by a declared model. Ollama's must also lie where it lay before."""
    if wanted.engine == "ollama":
        return _generate_by_ollama(wanted, endpoint, before)
    return _generate_by_llama_server(wanted, endpoint)


def _generate_by_ollama(wanted: Wanted, endpoint: Endpoint, before: Dict[str, float]) -> Health:
    """By the first wanted model that the server has, else by one that was in memory before."""
    there = {full_name(str(model.get("name"))) for model in _models(ask(endpoint, "/api/tags"))}
    model = next((name for name in [*wanted.models, *before] if full_name(name) in there), None)
    if model is None:
        return Health()
    body = {"model": model, "prompt": "Say yes.", "stream": True, "options": {"num_predict": 2}}
    status, lines = _post(wanted, endpoint, model, "/api/generate", body)
    if status != 200 or _error(lines) or not lines or not lines[-1].get("done"):
        raise _no_answer(model, status, lines)
    return _judge_share(wanted, model, shares(endpoint).get(full_name(model)), before.get(full_name(model)))


def _generate_by_llama_server(wanted: Wanted, endpoint: Endpoint) -> Health:
    """By the only model that it has. What refuses to generate (embeddings, an unknown key) is up all the same."""
    model = wanted.models[0] if wanted.models else "its model"
    body = {"model": model, "prompt": "Say yes.", "max_tokens": 2, "temperature": 0}
    status, lines = _post(wanted, endpoint, model, "/v1/completions", body)
    if status in (401, 501):
        return Health()
    if status != 200 or _error(lines) or not any(line.get("choices") for line in lines):
        raise _no_answer(model, status, lines)
    return Health(model=model)


def _post(
    wanted: Wanted, endpoint: Endpoint, model: str, path: str, body: Dict[str, Any]
) -> Tuple[int, List[Dict[str, Any]]]:
    """The status and the JSON objects of the answer: one a line in a stream."""
    try:
        status, data = request(endpoint, "POST", path, body, wanted.load_seconds, api_key=wanted.api_key)
        told = [parsed(line) for line in data.split(b"\n") if line.strip()]
    except FAILURES as error:
        raise ServiceProblem(f"{model} gives no answer: {error}.", "") from error
    return status, [line for line in told if isinstance(line, dict)]


def _error(lines: Sequence[Dict[str, Any]]) -> str:
    """Ollama tells a text, llama-server an object with a message."""
    told = next((line["error"] for line in lines if "error" in line), "")
    return str(told.get("message", told) if isinstance(told, dict) else told)


def _no_answer(model: str, status: int, lines: Sequence[Dict[str, Any]]) -> ServiceProblem:
    return ServiceProblem(f"{model} gives no answer: {_error(lines) or f'HTTP {status}, unfinished'}.", "")


def _judge_share(wanted: Wanted, model: str, now: Optional[float], before: Optional[float]) -> Health:
    if now is not None and before is not None and now < before - SHARE_TOLERANCE:
        raise ServiceProblem(
            f"{model} has {now:.0%} of its memory on the GPU now, {before:.0%} before.",
            "The new version places it otherwise: set num_gpu and num_ctx of the model, or stay with the old version.",
        )
    if wanted.gpus and now == 0:
        raise ServiceProblem(
            f"{model} was loaded into main memory only, although this host has GPUs.",
            "Look at nvidia-smi; when the driver works, the unit's hardening may be in the way: set ollama_hardening "
            "to 'off' for one run and compare. A model that is meant for the CPU: set ollama_expect_gpu to false.",
        )
    return Health(model=model, gpu_share=now)


def busy(endpoint: Endpoint, engine: str, clients: Sequence[str]) -> List[str]:
    """Why a restart would hurt somebody now: open connections, and models that are just being loaded."""
    reasons = (
        [f"{len(clients)} open connections ({', '.join(clients[:3])}{', …' if len(clients) > 3 else ''})"]
        if clients
        else []
    )
    if engine == "ollama":
        first = {name: model.get("expires_at") for name, model in loaded(endpoint).items()}
        if first:
            time.sleep(0.5)
            for name, model in loaded(endpoint).items():
                # Until a load or an answer is finished the server tells an end that moves with the clock.
                if first.get(name) != model.get("expires_at"):
                    reasons.append(f"{name} is being loaded or used")
    elif _loading(endpoint):
        reasons.append("the model is being loaded")
    return reasons


def _loading(endpoint: Endpoint) -> bool:
    """llama-server answers 503 until its model is read."""
    try:
        return request(endpoint, "GET", "/health", None, 10.0)[0] == 503
    except (*FAILURES, peer.NotTheService):
        return False
