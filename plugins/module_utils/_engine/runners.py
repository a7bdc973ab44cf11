# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What serves whom in an Ollama's memory: runners are told by weights and options, never by name.

Models of one file with the same options share a runner, and C(/api/ps) lists it under the name alone that it was
loaded by. With other options of the runner the model takes the place of the one that is there (needsReload in
server/sched.go).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import full_name
from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama, Running
from ansible_collections.gguf.fleet.plugins.module_utils._engine.shown import shown_parameters
from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import as_text

# api.Runner of all versions.
OPTIONS = (
    *("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict"),
    *("low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock"),
)
_BLOB = re.compile(r"^(?:FROM|ADAPTER) .*/sha256-([0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True)
class Runner:
    """What a model is loaded as: the blobs of its weights, and those of its parameters that the runner starts with."""

    weights: Tuple[str, ...]
    options: Mapping[str, Any]

    def serves(self, wanted: Runner) -> bool:
        """Whether a request for that one needs no new load."""
        return self.weights == wanted.weights and not differing(self.options, wanted.options)


def differing(loaded: Mapping[str, Any], wanted: Mapping[str, Any]) -> List[str]:
    """The options that make the server load anew, in the parameters of two models of the same weights."""

    layers = _number(wanted.get("num_gpu"))
    # Left to the server, the number of layers that is there will do.
    automatic = not isinstance(layers, float) or layers < 0
    names = [name for name in OPTIONS if not (name == "num_gpu" and automatic)]
    return [name for name in names if _number(loaded.get(name)) != _number(wanted.get(name))]


def _number(value: Any) -> Any:
    """Numbers and their texts compare as numbers, whatever the way they were given."""
    one = value[0] if isinstance(value, (list, tuple)) and value else value
    if isinstance(one, bool) or one is None:
        return one
    try:
        return float(one)
    except (TypeError, ValueError):
        return {"true": True, "false": False}.get(str(one).lower(), str(one))


class Memory:
    """What a server has in memory at one moment."""

    def __init__(self, server: Ollama) -> None:
        self._server = server
        self._shown: Dict[str, Optional[Runner]] = {}
        self.running = server.running()
        self._digests = {} if not self.running else _digests(server)

    def runner(self, name: str) -> Optional[Runner]:
        """What the model of this name is loaded as; None where there is none."""
        key = full_name(name)
        if key not in self._shown:
            shown = self._server.show(name)
            self._shown[key] = None if shown is None else _runner(shown)
        return self._shown[key]

    def current(self, one: Running) -> bool:
        """Whether it was loaded as what its name means now; of another one nobody knows the weights any more."""
        return bool(one.digest) and self._digests.get(one.name) == one.digest

    def serving(self, name: str) -> Optional[Running]:
        """What serves requests for this name without a load, as far as can be known."""
        known = [one for one in self.running if self.current(one)]
        for one in known:
            if one.name == full_name(name):
                return one
        wanted = self.runner(name) if known else None
        for one in known:
            other = self.runner(one.name)
            if wanted is not None and other is not None and other.serves(wanted):
                return one
        return None

    def strangers(self) -> List[Running]:
        """Those that were loaded as what their names do not mean any more."""
        return [one for one in self.running if not self.current(one)]


def _digests(server: Ollama) -> Dict[str, str]:
    return {full_name(as_text(told.get("name"))): bare(as_text(told.get("digest"))) for told in server.models()}


def bare(digest: str) -> str:
    """A digest without the name of its algorithm."""
    return digest.rpartition(":")[2]


def _runner(shown: Mapping[str, Any]) -> Runner:
    parameters = shown_parameters(as_text(shown.get("parameters")))
    options = {name: value for name, value in parameters.items() if name in OPTIONS}
    return Runner(tuple(sorted(_BLOB.findall(as_text(shown.get("modelfile"))))), options)
