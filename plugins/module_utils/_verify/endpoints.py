# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The endpoints that a host's variables promise."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._models.servers import llama_cpp_servers

_OLLAMA_PORT = 11434


def split_host(text: str) -> Tuple[str, int]:
    """OLLAMA_HOST's address and port."""
    match = re.match(r"(?:https?://)?(?P<host>\[[^]]*\]|[^:/]*)(?::(?P<port>\d+))?/?\Z", text.strip())
    if match is None:
        return "127.0.0.1", _OLLAMA_PORT
    return match.group("host").strip("[]") or "0.0.0.0", int(match.group("port") or _OLLAMA_PORT)


def is_loopback(address: str) -> bool:
    """Only programs on the host itself can reach it."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def url(address: str, port: int) -> str:
    """An http address; a server that listens everywhere is reached on loopback."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    return "http://[%s]:%d" % (reached, port) if ":" in reached else "http://%s:%d" % (reached, port)


def _entry(engine: str, model: str, address: str, port: int) -> Dict[str, Any]:
    return {
        "engine": engine,
        "model": model,
        "url": url(address, port),
        "port": port,
        "open": not is_loopback(address),
    }


def endpoints(
    models: Sequence[Mapping[str, Any]],
    *,
    engine: str,
    ollama_host: str,
    llama_cpp_host: str,
    servers: Sequence[Mapping[str, Any]],
) -> List[Dict[str, Any]]:
    """One entry for each model that a host declares: engine, model, url, port, and whether the network reaches it.

    :param models: C(models_serve).
    :param engine: C(models_engine), for entries that name none.
    :param servers: C(llama_cpp_servers) that were declared by hand.
    """
    named = [
        {**entry, "name": entry.get("name") or entry.get("catalog"), "engine": entry.get("engine") or engine}
        for entry in models
    ]
    address, port = split_host(ollama_host)
    found = [_entry("ollama", entry["name"], address, port) for entry in named if entry["engine"] == "ollama"]
    # The ports are given out by the rule that also configures the servers; the files do not matter for it.
    plain = [{"host": None, "port": None, "parameters": {}, **entry, "layout": "merged"} for entry in named]
    made = llama_cpp_servers(plain, [{"path": ""}] * len(plain), llama_cpp_host, placement={})
    for server in [*made, *servers]:
        name = str(server.get("alias") or server["name"])
        entry = _entry("llama_cpp", name, server.get("host") or "127.0.0.1", int(server.get("port") or 8080))
        if entry not in found:
            found.append(entry)
    return found
