# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What differs between the engines: which models there are, how one is loaded, and where it lies."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import as_count, as_dict, as_dicts, as_text
from ansible_collections.gguf.fleet.plugins.module_utils._verify.connection import Endpoint, reason
from ansible_collections.gguf.fleet.plugins.module_utils._verify.problem import EndpointProblem, NotThere

_POLL_SECONDS = 0.5
_MAX_LISTED = 20
_MAX_NAME_CHARACTERS = 200


@dataclass(frozen=True)
class Placement:
    """Where a loaded model lies, in bytes; `share` is the part on GPUs. Nothing where the engine does not tell."""

    size_bytes: Optional[int] = None
    size_vram_bytes: Optional[int] = None
    context_length: Optional[int] = None

    @property
    def share(self) -> Optional[float]:
        """Between 0 and 1."""
        if not self.size_bytes or self.size_vram_bytes is None:
            return None
        return round(min(1.0, self.size_vram_bytes / self.size_bytes), 4)


def full_name(name: str) -> str:
    """An Ollama name as it is compared: with its tag, without regard to case."""
    return (name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest").lower()


def _told(endpoint: Endpoint, path: str) -> Dict[str, Any]:
    answer = endpoint.ask("GET", path)
    if answer.status != 200:
        raise endpoint.refusal(path, answer)
    told = answer.json()
    if not isinstance(told, dict):
        raise EndpointProblem(
            f"{endpoint.url}{path}: the answer is not that of an engine.", "See what listens on this port."
        )
    return told


def _no_such_model(endpoint: Endpoint, model: str, there: List[str]) -> NotThere:
    more = f" and {len(there) - _MAX_LISTED} more" if len(there) > _MAX_LISTED else ""
    listed = ", ".join(name[:_MAX_NAME_CHARACTERS] for name in there[:_MAX_LISTED]) + more if there else "none at all"
    return NotThere(
        f"{endpoint.url}: there is no model {model}; there are: {listed}.", "Run the models role for this host."
    )


class Ollama:
    """Ollama: models by name, loaded on demand, their place told by /api/ps."""

    apis = ("openai", "ollama")

    def version(self, endpoint: Endpoint) -> str:
        """The server's version."""
        return as_text(_told(endpoint, "/api/version").get("version"))

    def model(self, endpoint: Endpoint, wanted: Optional[str]) -> str:
        """The wanted model, if the store has it."""
        there = [as_text(entry.get("name")) for entry in as_dicts(_told(endpoint, "/api/tags").get("models"))]
        if wanted is None:
            raise EndpointProblem(f"{endpoint.url}: no model is named.", "Name the one to ask in `model`.")
        if full_name(wanted) not in [full_name(name) for name in there]:
            raise _no_such_model(endpoint, wanted, there)
        return wanted

    def load(self, endpoint: Endpoint, model: str, limit_seconds: float) -> None:
        """An empty request loads the model and nothing else; without it the first token would bear the load."""
        # Not a byte comes until the model is there.
        answer = endpoint.ask("POST", "/api/generate", {"model": model, "stream": False}, limit_seconds=limit_seconds)
        if answer.status != 200:
            raise EndpointProblem(
                f"{endpoint.url}: {model} does not load: {reason(answer)}.",
                "The engine's log tells more. When memory is short, lower num_ctx or num_gpu, or take a smaller quant.",
            )

    def placement(self, endpoint: Endpoint, model: str) -> Placement:
        """What /api/ps says."""
        for entry in as_dicts(_told(endpoint, "/api/ps").get("models")):
            if full_name(as_text(entry.get("name"))) == full_name(model):
                return Placement(*(as_count(entry.get(name)) for name in ("size", "size_vram", "context_length")))
        return Placement()


class LlamaCpp:
    """llama-server: one model, loaded from the start, 503 until it is there; nothing tells where it lies."""

    apis = ("openai",)

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep

    def version(self, endpoint: Endpoint) -> str:
        """The build, where /props tells it."""
        answer = endpoint.ask("GET", "/props")
        return as_text(as_dict(answer.json()).get("build_info")) if answer.status == 200 else ""

    def load(self, endpoint: Endpoint, model: str, limit_seconds: float) -> None:
        """Wait until /health says that the model is loaded."""
        del model
        begun = self._clock()
        while True:
            answer = endpoint.ask("GET", "/health")
            if answer.status == 200:
                return
            if answer.status != 503:
                raise endpoint.refusal("/health", answer)
            if self._clock() - begun > limit_seconds:
                raise EndpointProblem(
                    f"{endpoint.url}: the model is not loaded after {limit_seconds:.0f} s ({reason(answer)}).",
                    "Raise timeout_seconds when the engine's log shows that it is still reading.",
                )
            self._sleep(_POLL_SECONDS)

    def model(self, endpoint: Endpoint, wanted: Optional[str]) -> str:
        """The wanted model, or the one that is served."""
        there = [as_text(entry.get("id")) for entry in as_dicts(_told(endpoint, "/v1/models").get("data"))]
        if wanted is None and there:
            return there[0]
        if wanted is None or wanted not in there:
            raise _no_such_model(endpoint, wanted or "(any)", there)
        return wanted

    def placement(self, endpoint: Endpoint, model: str) -> Placement:
        """llama-server does not tell; the context it does."""
        told = as_dict(endpoint.ask("GET", "/props").json())
        return Placement(context_length=as_count(as_dict(told.get("default_generation_settings")).get("n_ctx")))


ENGINES = {"ollama": Ollama, "llama_cpp": LlamaCpp}
