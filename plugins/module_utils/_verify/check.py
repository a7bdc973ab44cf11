# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One endpoint, checked from end to end: it listens, has the model, loads it, answers, lets the origin in."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, Callable, Dict, Optional, Type, Union

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.generation import Question, generate
from ansible_collections.gguf.fleet.plugins.module_utils._engine.llama_server import LlamaServer
from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem
from ansible_collections.gguf.fleet.plugins.module_utils._engine.residency import Resident
from ansible_collections.gguf.fleet.plugins.module_utils._engine.runners import Memory
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable
from ansible_collections.gguf.fleet.plugins.module_utils._verify.origins import check_origin

ENGINES: Dict[str, Union[Type[Ollama], Type[LlamaServer]]] = {"ollama": Ollama, "llama_cpp": LlamaServer}


@dataclass(frozen=True)
class Wanted:
    """What is asked of an endpoint. version: the one that an Ollama must be, None for any."""

    engine: str
    model: Optional[str]
    question: Question
    origin: Optional[str] = None
    gpu_share_min: float = 0.0
    timeout_seconds: float = 3600.0
    version: Optional[str] = None


def check(endpoint: Endpoint, wanted: Wanted, clock: Callable[[], float] = time.monotonic) -> Dict[str, Any]:
    """The facts for the result; EngineProblem at the first thing that is not as it should be."""
    engine = ENGINES[wanted.engine](endpoint)
    if wanted.question.api not in engine.apis:
        raise EngineProblem(
            f"{wanted.engine} has no interface '{wanted.question.api}'.", f"Use {' or '.join(engine.apis)}."
        )
    if wanted.engine == "ollama" and wanted.version:
        _refuse_another_version(endpoint.url, engine.version(), wanted.version)
    begun = clock()
    if wanted.engine == "llama_cpp":
        # Until its model is loaded llama-server answers every question with 503, the names of its models included.
        engine.load(wanted.model or "", wanted.timeout_seconds)
        model = engine.served(wanted.model)
    else:
        model = engine.served(wanted.model)
        engine.load(model, wanted.timeout_seconds)
    load_seconds = round(clock() - begun, 3)
    generation = generate(endpoint, model, wanted.question, clock, wait_seconds=wanted.timeout_seconds)
    resident = _in_memory(engine, model)
    share = resident.share
    if wanted.gpu_share_min > 0 and (share is None or share < wanted.gpu_share_min):
        on_gpus = "an unknown part" if share is None else f"{share:.0%}"
        raise EngineProblem(
            f"{endpoint.url}: {on_gpus} of {model} lies on GPUs, {wanted.gpu_share_min:.0%} is wanted.",
            "Check whether the engine was started before the GPU driver (restart it), and whether num_gpu and the free "
            "GPU memory allow more.",
        )
    return {
        "version": printable(engine.version(), limit=100),
        "model": printable(model, limit=200),
        "load_seconds": load_seconds,
        **asdict(generation),
        "gpu_share": share,
        "size_bytes": resident.size_bytes,
        "size_vram_bytes": resident.size_vram_bytes,
        "context_length": resident.context_length,
        "cors": check_origin(endpoint, wanted.origin) if wanted.origin else None,
    }


def _refuse_another_version(url: str, told: str, wanted: str) -> None:
    # One that somebody built by hand calls itself 0.0.0.
    if told.lstrip("v") not in (wanted.lstrip("v"), "0.0.0"):
        shown = printable(told, limit=100) or "without a version"
        raise EngineProblem(
            f"{url}: the server is Ollama {shown}, not the declared {wanted}.",
            "Run site.yml for this host, which restarts a server of another version.",
        )


def _in_memory(engine: Union[Ollama, LlamaServer], model: str) -> Resident:
    """A name may be served by what was loaded under another one of the same file."""
    serving = Memory(engine).serving(model) if isinstance(engine, Ollama) else None
    return engine.resident(model) if serving is None else serving.resident


def named(error: Problem, url: str, model: Optional[str]) -> Problem:
    """The problem of one endpoint among several: it names the model and the address, where it did not yet."""
    missing = [part for part in (model, url) if part and part not in error.problem]
    return Problem(f"{' at '.join(missing)}: {error.problem}", error.remedy) if missing else error
