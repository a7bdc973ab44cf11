# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""llama-server's HTTP API: one model, loaded from the start, 503 until it is there; nothing tells where it lies."""

from __future__ import annotations

import time
from typing import Any, Callable, Mapping, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem
from ansible_collections.gguf.fleet.plugins.module_utils._engine.residency import Resident
from ansible_collections.gguf.fleet.plugins.module_utils._engine.served import no_such_model
from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import as_count, as_dict, as_dicts, as_text

_POLL_SECONDS = 0.5
LOADING = 503
API_KEY = "LLAMA_API_KEY"


def first_key(environment: Mapping[str, Any]) -> str:
    """The key to ask a server with that has this environment; empty for none. Several keys have commas between them."""
    return str(environment.get(API_KEY) or "").split(",", maxsplit=1)[0].strip()


class LlamaServer:
    """One server."""

    apis = ("openai",)

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint = endpoint
        self.url = endpoint.url
        self._clock = clock
        self._sleep = sleep

    def version(self) -> str:
        """The build, where C(/props) tells it."""
        return as_text(as_dict(self._endpoint.ask("GET", "/props").json()).get("build_info"))

    def loads(self, limit_seconds: float) -> bool:
        """Whether it is reading its model now."""
        return self._endpoint.ask("GET", "/health", limit_seconds=limit_seconds).status == LOADING

    def load(self, model: str, limit_seconds: float) -> None:
        """Wait until C(/health) says that the model is loaded."""
        begun = self._clock()
        while True:
            answer = self._endpoint.ask("GET", "/health")
            if answer.status == 200:
                return
            if answer.status != LOADING:
                raise self._endpoint.refusal("/health", answer)
            if self._clock() - begun > limit_seconds:
                raise EngineProblem(
                    f"{self.url}: {model or 'the model'} is not loaded after {limit_seconds:.0f} s ({answer.said()}).",
                    "Raise timeout_seconds when the engine's log shows that it is still reading.",
                )
            self._sleep(_POLL_SECONDS)

    def served(self, wanted: Optional[str]) -> str:
        """The wanted model, or the one that is served; raises NotThere."""
        there = [as_text(entry.get("id")) for entry in as_dicts(self._endpoint.json("GET", "/v1/models").get("data"))]
        if wanted is None and there:
            return there[0]
        if wanted is None or wanted not in there:
            raise no_such_model(self.url, wanted or "(any)", there)
        return wanted

    def resident(self, _model: str) -> Resident:
        """Its context is all that it tells."""
        told: Any = as_dict(self._endpoint.ask("GET", "/props").json()).get("default_generation_settings")
        return Resident(context_length=as_count(as_dict(told).get("n_ctx")))
