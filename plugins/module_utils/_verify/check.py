# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One endpoint, checked from end to end: it listens, has the model, loads it, answers, lets the origin in."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, Callable, Dict, Optional, Union

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable
from ansible_collections.gguf.fleet.plugins.module_utils._verify.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._verify.engines import ENGINES, LlamaCpp, Ollama
from ansible_collections.gguf.fleet.plugins.module_utils._verify.generation import Question, generate
from ansible_collections.gguf.fleet.plugins.module_utils._verify.origins import check_origin
from ansible_collections.gguf.fleet.plugins.module_utils._verify.problem import EndpointProblem


@dataclass(frozen=True)
class Wanted:
    """What is asked of an endpoint."""

    engine: str
    model: Optional[str]
    question: Question
    origin: Optional[str] = None
    gpu_share_min: float = 0.0
    timeout_seconds: float = 3600.0


def check(endpoint: Endpoint, wanted: Wanted, clock: Callable[[], float] = time.monotonic) -> Dict[str, Any]:
    """The facts for the result; EndpointProblem at the first thing that is not as it should be."""
    engine: Union[Ollama, LlamaCpp] = ENGINES[wanted.engine]()
    if wanted.question.api not in engine.apis:
        raise EndpointProblem(
            f"{wanted.engine} has no interface '{wanted.question.api}'.", f"Use {' or '.join(engine.apis)}."
        )
    if wanted.engine == "ollama" and not wanted.model:
        raise EndpointProblem(f"{endpoint.url}: no model is named.", "Name the model to ask; Ollama serves many.")
    begun = clock()
    if wanted.engine == "llama_cpp":
        # Until its model is loaded llama-server answers every question with 503, the names of its models included.
        engine.load(endpoint, wanted.model or "", wanted.timeout_seconds)
        model = engine.model(endpoint, wanted.model)
    else:
        model = engine.model(endpoint, wanted.model)
        engine.load(endpoint, model, wanted.timeout_seconds)
    load_seconds = round(clock() - begun, 3)
    generation = generate(endpoint, model, wanted.question, clock, wait_seconds=wanted.timeout_seconds)
    placement = engine.placement(endpoint, model)
    share = placement.share
    if wanted.gpu_share_min > 0 and (share is None or share < wanted.gpu_share_min):
        on_gpus = "an unknown part" if share is None else f"{share:.0%}"
        raise EndpointProblem(
            f"{endpoint.url}: {on_gpus} of {model} lies on GPUs, {wanted.gpu_share_min:.0%} is wanted.",
            "See whether the engine was started before the GPU driver (restart it), and whether num_gpu and the free "
            "GPU memory allow more.",
        )
    return {
        "version": printable(engine.version(endpoint), limit=100),
        "model": printable(model, limit=200),
        "load_seconds": load_seconds,
        **asdict(generation),
        "gpu_share": share,
        "size_bytes": placement.size_bytes,
        "size_vram_bytes": placement.size_vram_bytes,
        "context_length": placement.context_length,
        "cors": check_origin(endpoint, wanted.origin) if wanted.origin else None,
    }


def named(error: Problem, url: str, model: Optional[str]) -> Problem:
    """The problem of one endpoint among several: it names the model and the address, where it did not yet."""
    missing = [part for part in (model, url) if part and part not in error.problem]
    return Problem(f"{' at '.join(missing)}: {error.problem}", error.remedy) if missing else error
