# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Declared models as servers of llama.cpp, which runs one process a model."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._models.server_secrets import secret_parameters

FIRST_PORT = 8080


def llama_cpp_servers(
    declared: Iterable[Mapping[str, Any]],
    downloads: Sequence[Mapping[str, Any]],
    host: str,
    placement: Mapping[str, Mapping[str, Any]],
    entries: Iterable[Mapping[str, Any]] = (),
) -> List[Dict[str, Any]]:
    """The entries of C(llama_cpp_servers) for the declared models of that engine.

    Servers without a port get the free ones from 8080 on, in the order of declaration, so that a port never moves
    because a model was added behind it.

    :param declared: the host's models, as :func:`declare` gives them.
    :param downloads: the result of C(gguf_download) for each of them, in the same order.
    :param host: address on which a server listens that names none.
    :param placement: the computed plan by the model's name; declared parameters go over its own.
    :param entries: C(models_serve), for the keys, which the declared models are without.
    """
    secret = {
        str(entry.get("name") or entry.get("catalog")): secret_parameters(entry.get("parameters") or {})
        for entry in entries
    }
    models = [(model, done) for model, done in zip(declared, downloads) if model["engine"] == "llama_cpp"]
    taken = {model["port"] for model, _done in models}
    free = (port for port in range(FIRST_PORT, 65536) if port not in taken)
    return [
        {
            "name": model["name"],
            "alias": model["name"],
            "model": done["paths"][0] if model["layout"] == "shards" else done["path"],
            "host": model["host"] or host,
            "port": model["port"] or next(free),
            "parameters": {
                **placement.get(model["name"], {}).get("llama_cpp", {}).get("parameters", {}),
                **model["parameters"],
                **secret.get(model["name"], {}),
            },
        }
        for model, done in models
    ]
