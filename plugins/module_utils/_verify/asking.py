# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What endpoint_check is to ask of a host's endpoints: where, with which key, for a page of which origin."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._engine.llama_server import first_key


def to_ask(
    endpoints: Sequence[Mapping[str, Any]],
    *,
    address: str = "",
    origin: str = "",
    ollama_origins: Sequence[str] = (),
    api_key: str = "",
    llama_cpp_environment: Optional[Mapping[str, Any]] = None,
    engines: Optional[Mapping[str, Mapping[str, Any]]] = None,
) -> List[Dict[str, Any]]:
    """The option C(endpoints) of endpoint_check.

    :param endpoints: those of a host, as the fleet describes them.
    :param address: where the controller reaches the host; empty for questions on the host itself.
    :param origin: the origin to check everywhere; empty for the first that Ollama lets in, on Ollama.
    :param engines: those of the host by name, as the fleet describes them; an Ollama must be of the version there.
    :param api_key: the key; empty for the one of llama.cpp's environment, on llama.cpp.
    """
    own: Dict[str, Mapping[str, Any]] = {
        "ollama": {
            "origin": origin or _example(ollama_origins),
            "api_key": api_key,
            "version": (engines or {}).get("ollama", {}).get("version"),
        },
        "llama_cpp": {"origin": origin, "api_key": api_key or first_key(llama_cpp_environment or {})},
    }
    return [
        {
            "engine": endpoint["engine"],
            "model": endpoint["model"],
            "url": f"http://{address}:{endpoint['port']}" if address else endpoint["url"],
            **{name: value for name, value in own[endpoint["engine"]].items() if value},
        }
        for endpoint in endpoints
    ]


def _example(origins: Sequence[str]) -> str:
    """A pattern stands for many origins: any one of them will do."""
    first = str(origins[0]) if origins else ""
    return "https://client.invalid" if first == "*" else first.replace("*", "1")
