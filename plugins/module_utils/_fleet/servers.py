# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What llama-server is started with for the models of a host that llama.cpp serves."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Iterator, List, Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.listen import LLAMA_CPP_PORT
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.server_secrets import secret_parameters


def free_ports(models: Sequence[Mapping[str, Any]]) -> Iterator[int]:
    """The port of each of these models: its own, else the next free one from 8080 on.

    In the order of declaration, so that a port never moves because a model was added behind it.
    """
    taken = {model["port"] for model in models}
    free = LLAMA_CPP_PORT
    for model in models:
        if model["port"]:
            yield model["port"]
            continue
        while free in taken:
            free += 1
        taken.add(free)
        yield free


def llama_cpp_servers(
    declared: Iterable[Mapping[str, Any]],
    downloads: Sequence[Mapping[str, Any]],
    servers: Sequence[Mapping[str, Any]],
    placement: Mapping[str, Mapping[str, Any]],
    entries: Iterable[Mapping[str, Any]] = (),
) -> List[Dict[str, Any]]:
    """The entries of C(llama_cpp_servers) for the declared models of that engine.

    :param declared: the host's models, as :func:`declare` gives them.
    :param downloads: the result of C(gguf_download) for each of them, in the same order.
    :param servers: the servers of the engine in the fleet value, as plain data.
    :param placement: the computed plan by the model's name; declared parameters go over its own.
    :param entries: the host's C(models_serve), which holds the keys that the fleet value does not.
    """
    listens = {
        server["models"][0]: server["listen"] for server in servers if server["models"] and not server["by_hand"]
    }
    secret = {
        str(entry.get("name") or entry.get("catalog")): secret_parameters(entry.get("parameters") or {})
        for entry in entries
    }
    return [
        {
            "name": model["name"],
            "alias": model["name"],
            "model": done["paths"][0] if model["layout"] == "shards" else done["path"],
            "host": listens[model["name"]]["host"],
            "port": listens[model["name"]]["port"],
            "parameters": {
                **placement.get(model["name"], {}).get("llama_cpp", {}).get("parameters", {}),
                **model["parameters"],
                **secret.get(model["name"], {}),
            },
        }
        for model, done in zip(declared, downloads)
        if model["engine"] == "llama_cpp"
    ]
