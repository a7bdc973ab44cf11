# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Quants that the inventory leaves to the fleet (C(quant: auto)): what was chosen before, what there is to choose."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import Fleet


def sources_of(fleet: Fleet, hosts: Iterable[str], choices: Mapping[str, str]) -> List[Dict[str, Any]]:
    """The sources of the models of these hosts, each once: C(lock_name), C(source), C(candidates); secrets included.

    :param choices: the quants that were chosen for C(auto), by lock name.
    """
    wanted = {model["lock_name"] for host in hosts for model in fleet.hosts[host].models}
    found = []
    for each in fleet.sources:
        if each["lock_name"] not in wanted:
            continue
        quant = choices.get(each["lock_name"])
        chosen = {"quant": quant, "pattern": each["candidates"][quant]} if each["candidates"] and quant else {}
        found.append({**each, "source": {**each["source"], **chosen}})
    return found


def chosen_before(fleet: Mapping[str, Any]) -> Dict[str, str]:
    """The quants that the lock file holds for sources with candidates, by lock name; of the value as plain data."""
    return {
        source["lock_name"]: fleet["quants"][source["lock_name"]][0]["name"]
        for source in fleet["sources"]
        if source["candidates"]
        and any(quant["size_bytes"] is not None for quant in fleet["quants"][source["lock_name"]])
    }


def to_choose(fleet: Fleet, hosts: Iterable[str], update: bool = False) -> List[Dict[str, Any]]:
    """The quants whose headers must be read before one can be chosen: C(lock_name), C(quant) and C(source) of each.

    :param update: choose again what was chosen before.
    """
    return [
        {
            "lock_name": source["lock_name"],
            "quant": quant,
            "source": {**source["source"], "quant": quant, "pattern": pattern},
        }
        for source in sources_of(fleet, hosts, {})
        if update or all(quant.size_bytes is None for quant in fleet.quants[source["lock_name"]])
        for quant, pattern in source["candidates"].items()
    ]


def hosts_serving(fleet: Mapping[str, Any], lock_names: Iterable[str], asked: Optional[bool] = None) -> List[str]:
    """The hosts of the whole inventory that serve one of these.

    :param asked: only those that reported their GPUs, in this run or in one before, or only those that did not.
    """
    wanted = set(lock_names)
    return [
        name
        for name, host in fleet["hosts"].items()
        if any(model["lock_name"] in wanted for model in host["models"])
        and asked in (None, host["asked_gpus"] is not None)
    ]


def candidates_of(results: Iterable[Mapping[str, Any]]) -> Dict[str, List[Dict[str, Any]]]:
    """What gguf_resolve returned in a loop over :func:`to_choose`, as candidates for gguf_plan by lock name."""
    found: Dict[str, List[Dict[str, Any]]] = {}
    for result in results:
        candidate = {"quant": result["item"]["quant"], "gguf": result["lock"]["gguf"]}
        found.setdefault(result["item"]["lock_name"], []).append(candidate)
    return found
