# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""From the fleet value to what a gateway routes: each model once, with the servers that serve it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Tuple
from urllib.parse import quote, urlsplit

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.gateway import model_key
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.names import (
    backend_of,
    door_name,
    instance_sni,
    server_of,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.paths import LLAMA_CPP, OLLAMA

# What Ollama has in memory.
_LOADED = "/api/ps"


@dataclass(frozen=True)
class Target:
    """A server of a backend.

    slots: requests that it answers at once; check: the path by which it is asked whether it is ready; loaded: the name
    that has to be in that answer, empty where any will do. sni and verify: names for the hop by TLS, empty for a plain
    one.
    """

    name: str
    host: str
    engine: str
    address: str
    port: int
    slots: int
    check: str
    loaded: str = ""
    sni: str = ""
    verify: str = ""


@dataclass(frozen=True)
class Route:
    """A model: its name as it is declared, all names that clients may use for it, in lower case, and who serves it."""

    model: str
    backend: str
    names: Tuple[str, ...]
    targets: Tuple[Target, ...]

    @property
    def native(self) -> bool:
        """Whether Ollama's own API is there, wherever a request goes."""
        return all(target.engine == OLLAMA for target in self.targets)


def routes_of(fleet: Mapping[str, Any], gateway: str) -> Tuple[Route, ...]:
    """The routes of one gateway, by the name of the model.

    Args:
        fleet: the fleet value as plain data.
        gateway: the host.
    """
    transport = fleet["gateways"][gateway]["transport"]
    models: Dict[str, str] = {}
    targets: Dict[str, List[Target]] = {}
    for instance in fleet["instances"]:
        for model in instance["models"]:
            key = model_key(model)
            models.setdefault(key, model)
            targets.setdefault(key, []).append(_target(instance, model, gateway, transport))
    return tuple(
        Route(
            model=models[key],
            backend=backend_of(key),
            names=(key, f"{key}:latest") if ":" not in key.rpartition("/")[2] else (key,),
            targets=tuple(targets[key]),
        )
        for key in sorted(models)
    )


def _target(instance: Mapping[str, Any], model: str, gateway: str, transport: str) -> Target:
    host, server, listen = instance["host"], instance["server"], instance["listen"]
    loaded = model in instance["resident"]
    check = "/health" if instance["engine"] == LLAMA_CPP else _LOADED if loaded else _check_path(model)
    own = {
        "name": server_of(host, server),
        "host": host,
        "engine": instance["engine"],
        "slots": instance["slots"][model],
        "check": check,
        "loaded": model_key(model) if loaded else "",
    }
    if transport == "plain":
        here = urlsplit(listen["url"]).hostname or ""
        return Target(address=here if host == gateway else instance["address"], port=listen["port"], **own)
    return Target(
        address=instance["address"],
        port=instance["door_port"],
        sni=instance_sni(host, server),
        verify=door_name(host),
        **own,
    )


def _check_path(model: str) -> str:
    """Whether an Ollama has the model; whether it runs, for a name that a door would not let through in a path."""
    path = quote(model, safe=":")
    return f"/v1/models/{path}" if path == model else _LOADED
