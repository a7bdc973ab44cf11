# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What llama-server is started with for the models of a host that llama.cpp serves."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.derived import expanded
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.listen import LLAMA_CPP_PORT
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.server_secrets import secret_parameters

_MIB = 2**20


def ports_of(models: Sequence[Mapping[str, Any]], counts: Mapping[str, int]) -> List[List[int]]:
    """The ports of each of these models, one an instance: its own, else the next free one from 8080 on.

    In the order of declaration, the first instances of all models before the others, so that a port never moves because
    a model was added behind it or an instance beside it.

    Args:
        models: as :func:`declare` gives them.
        counts: how many instances there are where the declaration does not tell, by the model's name; else one.
    """
    taken = {model["port"] for model in models}

    def next_free(port: int) -> int:
        while port in taken:
            port += 1
        taken.add(port)
        return port

    found = [[model["port"] or next_free(LLAMA_CPP_PORT)] for model in models]
    for model, ports in zip(models, found):
        ports += [next_free(ports[0]) for _more in range(1, count_of(model, counts))]
    return found


def on_own_cards(model: Mapping[str, Any]) -> bool:
    """Whether a declared model has instances, or cards, of its own."""
    return model["replicas"] is not None or bool(model["gpus"])


def count_of(model: Mapping[str, Any], counts: Mapping[str, int]) -> int:
    """How many instances of a declared model there are; one for `max` as long as nothing in `counts` tells."""
    declared = model["replicas"] or 1
    return declared if isinstance(declared, int) else counts.get(model["name"], 1)


def counts_of(plan: Mapping[str, Any]) -> Dict[str, int]:
    """How many instances of each model a plan has, by the model's name."""
    counts: Dict[str, int] = {}
    for one in plan.get("instances") or []:
        counts[one["model"]] = counts.get(one["model"], 0) + 1
    return counts


def visible_cards(gpus: Sequence[str]) -> Dict[str, str]:
    """The environment in which a server sees these cards only: indices or UUIDs; nothing for none."""
    if not gpus:
        return {}
    own = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))}
    # Without this, CUDA counts the fastest card first.
    by_index = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if any(str(card).isdigit() for card in gpus) else {}
    return {**own, **by_index}


def fit_beside(planned: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
    """Whether what is planned for llama.cpp fits into the memory that is free while something else serves.

    planned: C(plans) by the instance's name. seen: what the module host told. Without a plan nobody knows.
    """
    plans = [plan for plan in (planned.get("plans") or {}).values() if plan.get("engine") != "ollama"]
    if not plans or not all(plan.get("fits") for plan in plans):
        return False
    wanted: Dict[Any, int] = {}
    for device in (device for plan in plans for device in plan["per_device"] if device["layers"]):
        wanted[device["uuid"]] = wanted.get(device["uuid"], 0) + device["total_mib"]
    free = {gpu["uuid"]: (gpu["memory_free_bytes"] or 0) // _MIB for gpu in seen["gpus"]}
    on_host = sum(plan["host"]["total_mib"] for plan in plans)
    fits_cards = all(free.get(card, 0) >= size for card, size in wanted.items())
    return fits_cards and on_host <= seen["memory_available_bytes"] // _MIB


def llama_cpp_servers(
    host: Mapping[str, Any],
    downloads: Sequence[Mapping[str, Any]],
    planned: Mapping[str, Any],
    entries: Iterable[Mapping[str, Any]] = (),
    seen: Optional[Mapping[str, Any]] = None,
) -> List[Dict[str, Any]]:
    """The entries of C(llama_cpp_servers) for the declared models of that engine, one an instance.

    :param host: of the fleet value, as plain data.
    :param downloads: the result of C(gguf_download) for each of its models, in the same order.
    :param planned: C(plans) by the instance's name, under the declared parameters, and C(instances) with their cards.
    :param entries: the host's C(models_serve), which holds the keys that the fleet value does not.
    :param seen: what the module host told; with it each entry says whether all of them fit beside what runs now.
    """
    beside = {} if seen is None else {"beside": fit_beside(planned, seen)}
    secret = {
        str(entry.get("name") or entry.get("catalog")): secret_parameters(entry.get("parameters") or {})
        for entry in expanded(entries)
    }
    plans = planned.get("plans") or {}
    cards = {instance["name"]: instance["gpus"] for instance in planned.get("instances") or []}
    return [
        {
            "name": server["instance"],
            "alias": model["name"],
            "model": done["paths"][0] if model["layout"] == "shards" else done["path"],
            "host": server["listen"]["host"],
            "port": server["listen"]["port"],
            "gpus": cards.get(server["instance"]) or [],
            **beside,
            "parameters": {
                **plans.get(server["instance"], {}).get("llama_cpp", {}).get("parameters", {}),
                **model["parameters"],
                **secret.get(model["name"], {}),
            },
        }
        for model, done in zip(host["models"], downloads)
        if model["engine"] == "llama_cpp"
        for server in host["engines"]["llama_cpp"]["servers"]
        if server["instance"] and server["models"] == [model["name"]]
    ]
