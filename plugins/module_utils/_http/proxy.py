# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which proxy the environment names for an address."""

from __future__ import annotations

import ipaddress
import urllib.parse
import urllib.request
from typing import Dict, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import basic_authorization, shown_url


def proxy_for(scheme: str, host: str, port: int) -> Optional[str]:
    """The proxy that the environment names for this address (no_proxy may hold names, suffixes, IPs and networks)."""
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(scheme) or proxies.get("all")
    bypass = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]
    if not proxy or bypass(f"{host}:{port}", proxies) or bypass(host, proxies):
        return None
    if _in_networks(host, proxies.get("no", "")):
        return None
    return proxy if "://" in proxy else "http://" + proxy


def _in_networks(host: str, exceptions: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in exceptions.split(","):
        try:
            if address in ipaddress.ip_network(entry.strip().strip("[]"), strict=False):
                return True
        except ValueError:
            continue
    return False


def proxy_address(proxy: str) -> Tuple[str, int]:
    """Host and port of a proxy."""
    try:
        parts = urllib.parse.urlsplit(proxy)
        if parts.scheme == "http" and parts.hostname:
            return parts.hostname, parts.port or 80
    except ValueError:
        pass
    raise TransferError(
        f"The proxy {shown_url(proxy)} is not an http address.",
        "Set http_proxy and https_proxy to http://HOST:PORT.",
        reason="bad-proxy",
    )


def proxy_authorization(proxy: str) -> Dict[str, str]:
    parts = urllib.parse.urlsplit(proxy)
    if parts.username is None:
        return {}
    return {"Proxy-Authorization": basic_authorization(parts.username, parts.password)}
