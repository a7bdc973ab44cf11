# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Questions leave an Ollama's memory as they found it: what had to leave for an asked model is loaded again.

What was loaded for a question beside all that was there goes by the server's keep_alive, as after any question.
"""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple, Union

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama, Running
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem
from ansible_collections.gguf.fleet.plugins.module_utils._engine.runners import Memory
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem


class Residency:
    """What servers had in memory before they were asked."""

    def __init__(self) -> None:
        self._before: Dict[str, Tuple[Ollama, List[Running]]] = {}

    def note(self, endpoint: Endpoint) -> None:
        """Look before the first question to a server."""
        if endpoint.url in self._before:
            return
        server = Ollama(endpoint)
        try:
            self._before[endpoint.url] = (server, server.running())
        except Problem:
            # Its question tells what is wrong.
            return

    def restore(self, limit_seconds: float) -> List[Problem]:
        """Load again what left; a problem for each that could not be."""
        problems: List[Problem] = []
        for server, before in self._before.values():
            try:
                _restore(server, before, limit_seconds)
            except Problem as problem:
                problems.append(
                    EngineProblem(
                        f"{server.url}: what was in memory before the questions is not there again: {problem.problem}",
                        problem.remedy,
                    )
                )
        return problems


def _restore(server: Ollama, before: Sequence[Running], limit_seconds: float) -> None:
    memory = Memory(server)
    there = {(one.name, one.digest) for one in memory.running}
    known = {(one.name, one.digest) for one in before}
    gone = [one for one in before if (one.name, one.digest) not in there and (one.resident.seconds_left or 0) > 0]
    if not gone:
        return
    for one in memory.running:
        if (one.name, one.digest) not in known:
            server.load(one.name, limit_seconds, keep_alive=0)
    for one in gone:
        keep_alive: Union[int, str] = -1 if one.resident.pinned else f"{one.resident.seconds_left:.0f}s"
        server.load(one.name, limit_seconds, keep_alive)
