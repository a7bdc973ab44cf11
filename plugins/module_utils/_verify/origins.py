# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Whether a browser's page may talk to an endpoint: the preflight that the browser would send."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Answer, Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

_PATH = "/v1/chat/completions"
_HEADERS = ("authorization", "content-type")


def _listed(headers: Mapping[str, str], name: str) -> List[str]:
    found = {key.lower(): value for key, value in headers.items()}.get(name, "")
    return [printable(part.strip(), limit=200) for part in found.split(",") if part.strip()]


def _missing(answer: Answer, origin: str) -> List[str]:
    """What a browser would object to, as it reads the headers (Fetch standard, CORS-preflight fetch)."""
    allowed = _listed(answer.headers, "access-control-allow-origin")
    methods = [method.upper() for method in _listed(answer.headers, "access-control-allow-methods")]
    headers = [header.lower() for header in _listed(answer.headers, "access-control-allow-headers")]
    missing = []
    if answer.status not in range(200, 300):
        missing.append(f"HTTP {answer.status}")
    if allowed not in ([origin], ["*"]):
        missing.append("Access-Control-Allow-Origin is %s" % (", ".join(allowed) or "missing"))
    elif methods and "POST" not in methods and methods != ["*"]:
        missing.append("Access-Control-Allow-Methods has no POST")
    elif "*" not in headers and "content-type" not in headers:
        missing.append("Access-Control-Allow-Headers has no Content-Type")
    return missing


def check_origin(endpoint: Endpoint, origin: str) -> Dict[str, Any]:
    """The answer to the preflight; raises when a page of that origin would be turned away."""
    request = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ",".join(_HEADERS),
    }
    answer = endpoint.ask("OPTIONS", _PATH, headers=request)
    missing = _missing(answer, origin)
    if missing:
        raise EngineProblem(
            f"{endpoint.url}: a page from {origin} may not use this endpoint ({'; '.join(missing)}).",
            "Add the origin to ollama_origins (llama.cpp: to its parameter cors-origins), or ask without an origin.",
        )
    return {
        "origin": origin,
        "allow_origin": ", ".join(_listed(answer.headers, "access-control-allow-origin")),
        "allow_methods": _listed(answer.headers, "access-control-allow-methods"),
        "allow_headers": _listed(answer.headers, "access-control-allow-headers"),
    }
