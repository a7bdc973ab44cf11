# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Declared models as servers of llama.cpp, which runs one process a model."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Sequence

FIRST_PORT = 8080


def llama_cpp_servers(
    declared: Iterable[Mapping[str, Any]],
    downloads: Sequence[Mapping[str, Any]],
    host: str,
    placement: Mapping[str, Mapping[str, Any]],
) -> List[Dict[str, Any]]:
    """The entries of C(llama_cpp_servers) for the declared models of that engine.

    Servers without a port get the free ones from 8080 on, in the order of declaration, so that a port never moves
    because a model was added behind it.

    :param declared: the host's models, as :func:`declare` gives them.
    :param downloads: the result of C(gguf_download) for each of them, in the same order.
    :param host: address on which a server listens that names none.
    :param placement: the computed plan by the model's name; declared parameters go over its own.
    """
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
            },
        }
        for model, done in models
    ]
