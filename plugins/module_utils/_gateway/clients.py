# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a gateway keeps of its clients: maps of HAProxy, which change without a reload, and none of their keys."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.gateway import Client
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.routes import Route

Rows = List[Tuple[str, str]]
KEYS = "clients.map"


def clients_from(gateway: Mapping[str, Any]) -> List[Client]:
    """Of the fleet value's gateway, as plain data."""
    return [Client(**{**client, "models": tuple(client["models"])}) for client in gateway["clients"]]


def key_map(digests: Mapping[str, str]) -> str:
    """The text of KEYS: SHA-256 of each client's key, hexadecimal, by the client's name."""
    # HAProxy's converter `hex` gives capital letters.
    return _text((digest.upper(), name) for name, digest in digests.items())


def without_digests(key_map_text: str) -> str:
    """The text of KEYS to be shown: whose key is there, and whether it is another one, by a few digits."""
    pairs = (line.partition(" ") for line in key_map_text.split("\n") if line)
    return "".join(f"a key, SHA-256 {digest[:4]}…, of {name}\n" for digest, _blank, name in pairs)


def maps_of(clients: Sequence[Client], routes: Sequence[Route]) -> Dict[str, str]:
    """The text of each map but KEYS by the name of its file, for all clients and the routes of the gateway."""
    rows: Dict[str, Rows] = {
        "access.map": [pair for one in clients for pair in _access(one, routes)],
        "native.map": [(one.name, "1") for one in clients if one.native_api],
        "per_minute.map": [(one.name, str(one.requests_per_minute)) for one in clients if one.requests_per_minute],
        "at_once.map": [(one.name, str(one.requests_at_once)) for one in clients if one.requests_at_once],
        "openai_list.map": [(one.name, openai_list(_seen_by(one, routes))) for one in clients],
        "ollama_list.map": [(one.name, ollama_list(_seen_by(one, routes))) for one in clients],
    }
    return {name: _text(found) for name, found in rows.items()}


def _text(rows: Iterable[Tuple[str, str]]) -> str:
    return "".join(f"{key} {value}\n" for key, value in sorted(rows))


def _seen_by(client: Client, routes: Sequence[Route]) -> List[str]:
    return [route.model for route in routes if client.may_ask(route.model)]


def _access(client: Client, routes: Sequence[Route]) -> Rows:
    if not client.models:
        return [(f"{client.name}|*", "1")]
    return [(f"{client.name}|{route.backend}", "1") for route in routes if client.may_ask(route.model)]


def openai_list(models: Sequence[str]) -> str:
    """The answer to GET /v1/models, on one line without a blank."""
    data = [{"id": model, "object": "model", "created": 0, "owned_by": "gguf-fleet"} for model in models]
    return _one_word({"object": "list", "data": data})


def ollama_list(models: Sequence[str]) -> str:
    """The answer to GET /api/tags."""
    return _one_word({"models": [_tag(model) for model in models]})


def _tag(model: str) -> Mapping[str, Any]:
    name = model if ":" in model.rpartition("/")[2] else f"{model}:latest"
    nothing = {"modified_at": "1970-01-01T00:00:00Z", "size": 0, "digest": "", "details": {}}
    return {"name": name, "model": name, **nothing}


def _one_word(content: Any) -> str:
    # A blank would end the value where a map is changed at run time.
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).replace(" ", "\\u0020")
