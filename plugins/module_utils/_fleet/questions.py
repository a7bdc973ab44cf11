# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The questions that a fleet puts to gguf_plan: among which quants, for which hosts, with which settings."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import DeclarationProblem


def plan_questions(
    fleet: Mapping[str, Any],
    hosts: Iterable[str],
    candidates: Optional[Mapping[str, List[Dict[str, Any]]]] = None,
    only: Sequence[str] = (),
) -> List[Dict[str, Any]]:
    """One for each name that these hosts serve: name, lock_name, candidates (quant, gguf) and hosts.

    Args:
        fleet: the fleet value.
        hosts: names of the hosts that are asked about.
        candidates: quants to choose from by lock name, where their headers were read; else what the value knows, and
            models of other lock names are left out. Such a choice goes by the GPUs that the hosts reported, not by the
            declared ones.
        only: the GPUs to plan with, over those of the engines.

    Raises:
        DeclarationProblem: where nothing is known of a quant.
    """
    known = candidates if candidates is not None else _candidates(fleet)
    groups: Dict[str, Dict[str, Any]] = {}
    for name in hosts:
        host = fleet["hosts"][name]
        for model in host["models"]:
            lock_name = model["lock_name"]
            if lock_name not in known:
                continue
            if not known[lock_name]:
                raise DeclarationProblem(
                    f"The size of {model['name']} ({lock_name}) is not known: it has no lock, and the catalog "
                    "tells none.",
                    "Run the playbook site with --check: it reads the headers from the hub, and tells where it fits.",
                )
            group = {"name": model["name"], "lock_name": lock_name, "candidates": known[lock_name], "hosts": []}
            groups.setdefault(model["name"], group)["hosts"].append(
                _host(host, model, only, asked=candidates is not None)
            )
    return list(groups.values())


def preflight_models(models: Iterable[Mapping[str, Any]], quants: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The declared models whose size is known, for host_preflight: the others wait until they are resolved."""
    return [
        {
            "name": model["name"],
            "engine": model["engine"],
            "parameters": model["parameters"],
            "gguf": quants[model["lock_name"]][0]["gguf"],
        }
        for model in models
        if quants[model["lock_name"]] and quants[model["lock_name"]][0]["gguf"]
    ]


def _candidates(fleet: Mapping[str, Any]) -> Dict[str, List[Dict[str, Any]]]:
    return {
        lock_name: [{"quant": quant["name"], "gguf": quant["gguf"]} for quant in quants if quant["gguf"]]
        for lock_name, quants in fleet["quants"].items()
    }


def _host(host: Mapping[str, Any], model: Mapping[str, Any], only: Sequence[str], asked: bool) -> Dict[str, Any]:
    engine = host["engines"][model["engine"]]
    return {
        "name": host["name"],
        "address": host["address"],
        "gpus": host["asked_gpus"] if asked and host["asked_gpus"] is not None else host["gpus"],
        "only": list(only) or engine["gpus"],
        "ram_bytes": host["ram_bytes"],
        "engine": engine["name"],
        "engine_version": engine["version"],
        "parameters": model["parameters"],
        "environment": engine["environment"],
    }
