# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Quants that the inventory leaves to the fleet (C(quant: auto)): what was chosen before, what there is to choose."""

from __future__ import annotations

import fnmatch
from typing import Any, Dict, Iterable, List, Mapping


def pinned_quants(sources: Iterable[Mapping[str, Any]], locks: Mapping[str, Any]) -> Dict[str, str]:
    """The quants that the lock file holds for sources with candidates, by lock name."""
    found = {}
    for source in sources:
        lock = locks.get(source["lock_name"])
        first = lock["files"][0]["path"] if lock else ""
        for quant, pattern in source["candidates"].items():
            if lock and fnmatch.fnmatchcase(first, pattern):
                found[source["lock_name"]] = quant
    return found


def to_resolve(
    sources: Iterable[Mapping[str, Any]], pinned: Mapping[str, str], update: bool = False
) -> List[Dict[str, Any]]:
    """The quants whose headers must be read before one can be chosen: C(lock_name), C(quant) and C(source) of each."""
    return [
        {
            "lock_name": source["lock_name"],
            "quant": quant,
            "source": {**source["source"], "quant": quant, "pattern": pattern},
        }
        for source in sources
        if update or source["lock_name"] not in pinned
        for quant, pattern in source["candidates"].items()
    ]


def candidates_of(results: Iterable[Mapping[str, Any]]) -> Dict[str, List[Dict[str, Any]]]:
    """What gguf_resolve returned in a loop over :func:`to_resolve`, as candidates for gguf_plan by lock name."""
    found: Dict[str, List[Dict[str, Any]]] = {}
    for result in results:
        candidate = {"quant": result["item"]["quant"], "gguf": result["lock"]["gguf"]}
        found.setdefault(result["item"]["lock_name"], []).append(candidate)
    return found


def groups_to_plan(
    hosts: Iterable[Mapping[str, Any]], candidates: Mapping[str, List[Dict[str, Any]]]
) -> List[Dict[str, Any]]:
    """The questions for gguf_plan, one for each name that is served: among which quants, by whom, and how.

    :param hosts: C(name), C(gpus), C(only) and C(versions) by engine, C(ram_bytes), C(environment), declared C(models).
    :param candidates: C(quant) and C(gguf) of each, the best first, by lock name; other models are left out.
    """
    groups: Dict[str, Dict[str, Any]] = {}
    for host in hosts:
        for model in host["models"]:
            name, lock_name, engine = model["name"], model["lock_name"], model["engine"]
            if lock_name not in candidates:
                continue
            group = {"name": name, "lock_name": lock_name, "candidates": candidates[lock_name], "hosts": []}
            groups.setdefault(name, group)["hosts"].append(
                {
                    "name": host["name"],
                    "address": host.get("address"),
                    "gpus": host["gpus"],
                    "only": host["only"][engine],
                    "ram_bytes": host["ram_bytes"],
                    "engine": engine,
                    "engine_version": host["versions"][engine],
                    "parameters": model["parameters"],
                    "environment": host["environment"],
                }
            )
    return list(groups.values())
