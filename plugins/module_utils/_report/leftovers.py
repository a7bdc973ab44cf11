# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a host still has of ours that nothing declares any more."""

from __future__ import annotations

import posixpath
from typing import Any, Dict, List, Mapping, Sequence, Set

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import full_name
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.names import DOOR_SERVICE, GATEWAY_SERVICE
from ansible_collections.gguf.fleet.plugins.module_utils._host.sizes import shown_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._report.results import Results

_PLACES_SHOWN = 3


def leftovers(results: Results, host: Mapping[str, Any]) -> List[str]:
    """Sentences about models, files and services, with their bytes and how they go.

    Args:
        results: of a run that began by looking at the host.
        host: of the fleet value, as plain data.
    """
    made = results.get("__host_info").get("made") or {}
    registered = results.get("__models_registered")
    removed = {full_name(name) for name in registered.get("removed") or ()}
    declared = {full_name(model["name"]) for model in host["models"] if model["engine"] == "ollama"}
    found: List[str] = []
    models = [name for name in made.get("models") or () if full_name(name) not in declared | removed]
    if models:
        found.append(f"{', '.join(models)} in Ollama's store (models_prune: true removes it)")
    steps = [str(step) for step in registered.get("actions") or ()]
    files = [
        one
        for one in made.get("files") or ()
        if one["path"] not in needed(results, host) and not _removed(one["path"], steps)
    ]
    if files:
        size = shown_bytes(sum(one["size_bytes"] for one in files))
        found.append(f"{', '.join(_places([one['path'] for one in files]))}, {size}")
    services = [name for name in results.get("__host_info").get("services") or () if name not in _served(results, host)]
    if services:
        found.append(f"the service {', '.join(services)}")
    return found


def _places(paths: Sequence[str]) -> List[str]:
    """The shards of a model as one place."""
    folders: Dict[str, List[str]] = {}
    for path in paths:
        folders.setdefault(posixpath.dirname(path), []).append(path)
    places = [each[0] if len(each) == 1 else f"{len(each)} files in {folder}" for folder, each in folders.items()]
    more = len(places) - _PLACES_SHOWN
    return places if more <= 0 else [*places[:_PLACES_SHOWN], f"and {more} more"]


def _removed(path: str, steps: Sequence[str]) -> bool:
    """By the sentences that ollama_model gives of its steps."""
    return any(step == f"remove file {path}" or step.startswith(f"remove file {path} (") for step in steps)


def needed(results: Results, host: Mapping[str, Any]) -> Set[str]:
    """The files of what is declared; all that is there, as long as nobody knows which they are."""
    told = results.get("__models_downloaded").get("downloads")
    if host["models"] and (told is None or any("paths" not in one for one in told)):
        return {str(one["path"]) for one in (results.get("__host_info").get("made") or {}).get("files") or ()}
    by_hand = results.variable("llama_cpp_servers") or ()
    return {str(path) for one in told or () for path in one["paths"]} | {str(one.get("model")) for one in by_hand}


def _served(results: Results, host: Mapping[str, Any]) -> Set[str]:
    """Services that are declared, and those that the run removed."""
    return declared_services(host) | set(results.services_removed())


def declared_services(host: Mapping[str, Any]) -> Set[str]:
    """Those of its engines, its door and its gateway."""
    proxies = {DOOR_SERVICE: host.get("door"), GATEWAY_SERVICE: host.get("gateway")}
    return {str(server["name"]) for server in host["servers"]} | {name for name, wanted in proxies.items() if wanted}
