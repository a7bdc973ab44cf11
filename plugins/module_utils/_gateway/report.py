# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a run says of a gateway: its address, its models, the files of keys, and how clients are set up."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.gateway import MIB
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.routes import routes_of

_PLAIN = (
    "WARNING: gateway_transport is plain. Requests go to the engines without TLS, and whoever reaches an engine needs "
    "no key and can delete its models. Keep them in a network of their own, or leave gateway_transport out."
)


def report(fleet: Mapping[str, Any], gateway: str, keys: Mapping[str, Any], trust: Sequence[str] = ()) -> List[str]:
    """The lines; no key is in them.

    Args:
        fleet: the fleet value as plain data.
        gateway: the host.
        keys: the result of gateway_keys; `files` names the files of keys that were made.
        trust: paths of the certificates that clients have to trust, none where they trust them already.
    """
    own = fleet["gateways"][gateway]
    routes = routes_of(fleet, gateway)
    files = keys.get("files") or {}
    lines = [
        f"{gateway}: {own['url']}",
        *([f"  {'Certificate' if len(trust) == 1 else 'Certificates'} to trust: {', '.join(trust)}"] if trust else []),
        "  Models: " + (", ".join(route.model for route in routes) or "none"),
    ]
    for client in own["clients"]:
        where = f"key in {files[client['name']]}" if client["name"] in files else "key as given"
        lines.append(f"  Client {client['name']}: {where}; {_may(client)}")
    if own["transport"] == "plain" and any(one["host"] != gateway for one in fleet["instances"]):
        lines.append(f"  {_PLAIN}")
    if not own["clients"]:
        lines.append("  Nobody may ask: gateway_clients is empty.")
    lines += [
        f"  OpenAI's SDK: OpenAI(base_url='{own['url']}/v1', api_key=..., timeout=3600, max_retries=0)",
        f"  Cherry Studio: provider OpenAI, API host {own['url']}, the key, then Manage to list the models",
        f"  Open WebUI: Connections, OpenAI API, {own['url']}/v1 and the key",
        *([f"  Ollama's clients: host {own['url']}, header Authorization: Bearer KEY"] if _native(own) else []),
        f"  A request has at most {own['max_body_bytes'] / MIB:g} MiB. Limits of clients hold for each gateway alone.",
    ]
    return lines


def _may(client: Mapping[str, Any]) -> str:
    parts = ["models " + ", ".join(client["models"]) if client["models"] else "all models"]
    if client["requests_per_minute"]:
        parts.append(f"{client['requests_per_minute']} requests a minute")
    if client["requests_at_once"]:
        parts.append(f"{client['requests_at_once']} at once")
    if client["native_api"]:
        parts.append("Ollama's own API, too")
    return ", ".join(parts)


def _native(gateway: Mapping[str, Any]) -> bool:
    return any(client["native_api"] for client in gateway["clients"])
