# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""CORS and the Host check: who may talk to the server from a browser, and under what name."""

from __future__ import annotations

import ipaddress
import socket
from typing import Dict, List, Optional, Tuple

_METHODS = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
_PROPERTIES = (
    "lang package-version os arch retry-count runtime runtime-version async helper-method poll-helper "
    "custom-poll-interval"
)
_HEADERS = ["Authorization", "Content-Type", "User-Agent", "Accept", "X-Requested-With"] + [
    "-".join(part.capitalize() for part in ("x-stainless-" + name).split("-")) for name in _PROPERTIES.split()
]


def _matches(origin: str, pattern: str) -> bool:
    if "*" not in pattern:
        return origin == pattern
    before, _star, after = pattern.partition("*")
    return len(origin) >= len(before) + len(after) and origin.startswith(before) and origin.endswith(after)


def cors(origin: str, host: str, method: str, allowed: List[str]) -> Tuple[Optional[int], Dict[str, str]]:
    """A status when the request ends here (204 for a preflight, 403 for a stranger), and the headers to send."""
    if not origin or origin in ("http://" + host, "https://" + host):
        return None, {}
    everyone = "*" in allowed
    if not everyone and not any(_matches(origin, pattern) for pattern in allowed):
        return 403, {}
    headers = {"Access-Control-Allow-Origin": "*" if everyone else origin}
    if method == "OPTIONS":
        headers["Access-Control-Allow-Methods"] = _METHODS
        headers["Access-Control-Allow-Headers"] = ",".join(_HEADERS)
        headers["Access-Control-Max-Age"] = "43200"
        if not everyone:
            headers["Vary"] = "Origin,Access-Control-Request-Method,Access-Control-Request-Headers"
        return 204, headers
    if not everyone:
        headers["Vary"] = "Origin"
    return None, headers


def host_allowed(host_header: str) -> bool:
    """On a loopback address only local names and addresses may stand in Host: a guard against DNS rebinding."""
    host = host_header.lower()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        local = host in ("", "localhost", socket.gethostname().lower())
        return local or host.endswith((".localhost", ".local", ".internal"))
    return address.is_loopback or address.is_private or address.is_unspecified or str(address) in _own_addresses()


def _own_addresses() -> List[str]:
    try:
        return [str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)]
    except OSError:
        return []
