# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which hosts may be drained at the same time, so that each model is still served by others meanwhile."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Set

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import RPC_SERVER
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.names import server_of

# Of the hosts that serve a model, one in so many, but at least one.
PART = 4


def turn_of(fleet: Mapping[str, Any], host: str, result: Mapping[str, Any]) -> List[str]:
    """When a host goes on with what the module engine_service held back: a word that is the same for all hosts that do
    so at once, `start` where no stream is cut by it. Empty where nothing was held back.

    Args:
        fleet: the fleet value as plain data.
        host: its name in the inventory.
        result: of the module, or of a loop over it.
    """
    items = result.get("results")
    each = items if isinstance(items, list) else [result]
    held = {one.get("held") for one in each if isinstance(one, Mapping)}
    if "restart" in held:
        return [f"turn {turns(fleet).get(host, 0)}"]
    return ["start"] if "start" in held else []


def borrowers(fleet: Mapping[str, Any], host: str) -> List[Dict[str, str]]:
    """The instances that compute by the GPUs that a host lends by RPC: host, server, url there, and gateway_server.

    Args:
        fleet: the fleet value as plain data.
        host: that lends.
    """
    own = fleet["hosts"][host]
    lends = {
        f"{name}:{server['listen']['port']}"
        for server in own["servers"]
        if server["name"] == RPC_SERVER
        for name in (server["listen"]["host"], own["address"], host)
    }
    return [
        {
            "host": one["host"],
            "server": one["server"],
            "url": one["listen"]["url"],
            "gateway_server": server_of(one["host"], one["server"]),
        }
        for one in fleet.get("instances") or ()
        if lends.intersection(one["rpc"])
    ]


def turns(fleet: Mapping[str, Any]) -> Dict[str, int]:
    """The number of each host's turn. In a turn there is at most a part of the hosts that serve a model."""
    models: Dict[str, Set[str]] = {}
    for one in fleet.get("instances") or ():
        models.setdefault(one["host"], set()).update(one["models"])
    most = {
        model: max(1, sum(model in served for served in models.values()) // PART)
        for model in set().union(*models.values())
    }
    found: Dict[str, int] = {}
    taken: Dict[int, Dict[str, int]] = {}
    for host, served in models.items():
        number = 1
        while any(taken.get(number, {}).get(model, 0) >= most[model] for model in served):
            number += 1
        found[host] = number
        for model in served:
            counts = taken.setdefault(number, {})
            counts[model] = counts.get(model, 0) + 1
    return found
