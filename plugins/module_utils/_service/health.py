# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Whether an engine that was just started serves: its API, its version, a generation, where the model lies."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Answer, Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.generation import Question
from ansible_collections.gguf.fleet.plugins.module_utils._engine.generation import generate as ask_model
from ansible_collections.gguf.fleet.plugins.module_utils._engine.llama_server import LOADING, LlamaServer
from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import full_name
from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem
from ansible_collections.gguf.fleet.plugins.module_utils._engine.residency import Resident
from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import as_dict, as_text
from ansible_collections.gguf.fleet.plugins.module_utils._service import peer
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.state import State, last_words

# Ollama that somebody built by hand calls itself so.
UNVERSIONED = "0.0.0"
# Two looks at the same generation differ by rounding; less than this much of the model is no move to the CPU.
SHARE_TOLERANCE = 0.02
LOOK_SECONDS = 10.0
# It shall compute, whatever its template makes of the words.
_PROMPT, _TOKENS = "Say yes.", 2
_NO_ANSWER = (EngineProblem, peer.NotTheService)


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


def endpoint_of(wanted: Wanted, pid: Callable[[], int]) -> Endpoint:
    """The service's own endpoint: nothing is sent to whoever else took its port.

    :param pid: the process of the service now, 0 for none.
    """

    def prove(sock: socket.socket, seconds: float) -> None:
        peer.prove(sock, pid, seconds=min(peer.ACCEPT_SECONDS, seconds))

    return Endpoint(wanted.url, silence_seconds=wanted.load_seconds, api_key=wanted.api_key, prove=prove)


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
            answer = endpoint.ask("GET", path, limit_seconds=LOOK_SECONDS)
            if answer.status == 200:
                return _told_version(wanted, answer)
            seen = f"HTTP {answer.status}"
            if answer.status == LOADING and wanted.engine == "llama_cpp":
                # The socket opens before the model is read, so from here on it is the load that takes the time.
                limit, seen = wanted.load_seconds, f"HTTP {LOADING}, the model is being loaded"
        except _NO_ANSWER as error:
            # Somebody else may stand in the way of a service that is just coming up.
            seen = error.problem.rstrip(".")
        now = state()
        if now.restarts >= first + 2 or (
            not now.active and now.failure and now.restarts == first and clock() - begun > 5
        ):
            raise _unhealthy("it ends again and again" + (f" ({now.failure})" if now.failure else ""), log_tail)
        sleep(0.25 if clock() - begun < 5 else 1.0)
    raise _unhealthy(f"{wanted.url}{path} gave no good answer within {limit:.0f} s ({seen})", log_tail)


def same_version(told: str, wanted: Optional[str]) -> bool:
    """Whether an Ollama that tells this version is the wanted one; one that was built by hand may be any."""
    return told == UNVERSIONED or told.lstrip("v") == str(wanted or "").lstrip("v")


def _told_version(wanted: Wanted, answer: Answer) -> str:
    version = as_text(as_dict(answer.json()).get("version"))
    if wanted.engine == "ollama" and wanted.version and not same_version(version, wanted.version):
        raise ServiceProblem(
            f"{wanted.url} is answered by Ollama {version or 'without a version'}, not by {wanted.version}.",
            "Another program uses the port, or the new version did not start.",
        )
    return version


def _unhealthy(what: str, log_tail: Callable[[int], List[str]]) -> ServiceProblem:
    return ServiceProblem(f"the service is not healthy: {what}.{last_words(log_tail)}", "")


def shares(endpoint: Endpoint) -> Dict[str, float]:
    """How much of each model in memory lies on GPUs; nothing where nobody tells."""
    found = {name: resident.share for name, resident in _residents(endpoint).items()}
    return {name: share for name, share in found.items() if share is not None}


def _residents(endpoint: Endpoint) -> Mapping[str, Resident]:
    try:
        return Ollama(endpoint).residents()
    except _NO_ANSWER:
        return {}


def generate(wanted: Wanted, endpoint: Endpoint, before: Dict[str, float]) -> Health:
    """A real answer by a declared model. Ollama's must also lie where it lay before."""
    if wanted.engine == "ollama":
        return _generate_by_ollama(wanted, endpoint, before)
    return _generate_by_llama_server(wanted, endpoint)


def _generate_by_ollama(wanted: Wanted, endpoint: Endpoint, before: Dict[str, float]) -> Health:
    """By the first wanted model that the server has, else by one that was in memory before."""
    try:
        there = {full_name(as_text(model.get("name"))) for model in Ollama(endpoint).models()}
    except EngineProblem as error:
        raise ServiceProblem(f"it does not list its models: {error.problem}", error.remedy) from error
    model = next((name for name in [*wanted.models, *before] if full_name(name) in there), None)
    if model is None:
        return Health()
    try:
        _ask(wanted, endpoint, model, "ollama_prompt")
    except EngineProblem as error:
        raise _no_answer(model, error) from error
    return _judge_share(wanted, model, shares(endpoint).get(full_name(model)), before.get(full_name(model)))


def _generate_by_llama_server(wanted: Wanted, endpoint: Endpoint) -> Health:
    """By the only model that it has. What refuses to generate (embeddings, an unknown key) is up all the same."""
    model = wanted.models[0] if wanted.models else "its model"
    try:
        _ask(wanted, endpoint, model, "openai_prompt")
    except EngineProblem as error:
        if error.status in (401, 501):
            return Health()
        raise _no_answer(model, error) from error
    return Health(model=model)


def _ask(wanted: Wanted, endpoint: Endpoint, model: str, api: str) -> None:
    question = Question(_PROMPT, _TOKENS, api, may_be_empty=True)
    ask_model(endpoint, model, question, wait_seconds=wanted.load_seconds)


def _no_answer(model: str, error: EngineProblem) -> ServiceProblem:
    return ServiceProblem(f"{model} gives no answer: {(error.said or error.problem).rstrip('.')}.", "")


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
        first = _residents(endpoint)
        if first:
            time.sleep(0.5)
            for name, model in _residents(endpoint).items():
                # Until a load or an answer is finished the server tells an end that moves with the clock.
                if name not in first or first[name].expires_at != model.expires_at:
                    reasons.append(f"{name} is being loaded or used")
    elif _loading(endpoint):
        reasons.append("the model is being loaded")
    return reasons


def _loading(endpoint: Endpoint) -> bool:
    try:
        return LlamaServer(endpoint).loads(LOOK_SECONDS)
    except _NO_ANSWER:
        return False
