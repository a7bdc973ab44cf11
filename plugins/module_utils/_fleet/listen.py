# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Where a server listens, and how it is reached: the one place that takes an address apart."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Dict

OLLAMA_PORT = 11434
LLAMA_CPP_PORT = 8080

# ollama envconfig/config.go, Host: a scheme sets the port that is meant when none is written.
_SCHEME_PORTS = {"http": 80, "https": 443}
_ADDRESS = re.compile(r"(?:(?P<scheme>https?)://)?(?P<host>\[[^]]*\]|[^:/]*)(?::(?P<port>[0-9]{1,5}))?(?:/.*)?\Z")
_PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


@dataclass(frozen=True)
class Listen:
    """An address and port on a host. IPv6 addresses stand without brackets."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """For programs on the host itself: a server that listens everywhere is asked on loopback."""
        return f"http://{bracketed(_EVERYWHERE.get(self.host, self.host))}:{self.port}"

    @property
    def text(self) -> str:
        """host:port, as commands and messages write it."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def open(self) -> bool:
        """Whether anybody but programs on the host itself can reach it."""
        return not is_loopback(self.host)

    @property
    def everywhere(self) -> bool:
        """Whether it is all addresses of the host."""
        return self.host in _EVERYWHERE

    def takes_from(self, other: Listen) -> bool:
        """Whether both cannot listen on one host: the same port, on the same address or on all of them."""
        if self.port != other.port:
            return False
        here, there = _canonical(self.host), _canonical(other.host)
        return here == there or here in _EVERYWHERE or there in _EVERYWHERE

    def as_dict(self) -> Dict[str, object]:
        """For templates and reports."""
        return {"host": self.host, "port": self.port, "text": self.text, "url": self.url, "open": self.open}


def ollama_listen(text: str) -> Listen:
    """What Ollama makes of OLLAMA_HOST. Text that it cannot read means its default, as it does for Ollama."""
    match = _ADDRESS.match(text.strip().strip("\"'").strip())
    if match is None:
        return Listen("127.0.0.1", OLLAMA_PORT)
    default = _SCHEME_PORTS.get(match.group("scheme") or "", OLLAMA_PORT)
    port = int(match.group("port") or default)
    return Listen(match.group("host").strip("[]") or "0.0.0.0", port if 0 < port < 65536 else default)


def is_private(address: str) -> bool:
    """Whether nobody reaches this IP address from the internet: loopback, RFC 1918, and RFC 4193 for IPv6."""
    if is_loopback(address):
        return True
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in _PRIVATE if network.version == found.version)


def is_loopback(address: str) -> bool:
    """Only programs on the host itself can reach it."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _canonical(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower()


def bracketed(host: str) -> str:
    """As it stands before a port."""
    return f"[{host}]" if ":" in host else host
