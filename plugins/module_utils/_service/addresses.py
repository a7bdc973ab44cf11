# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The addresses of a host, and which of them may be listened on without authentication."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import List, Sequence

# Of RFC 1918 and RFC 4193. `is_private` of the standard library also takes 0.0.0.0, documentation and much more.
PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
LOOPBACK = ("127.0.0.1", "::1")
_LOCAL = re.compile(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL")


def of_host(proc: str = "/proc") -> List[str]:
    """The addresses of its interfaces, in canonical text."""
    found = set(_LOCAL.findall(_read(proc, "fib_trie")))
    for line in _read(proc, "if_inet6").split("\n"):
        digits = line.split(" ")[0]
        if len(digits) == 32:
            found.add(str(ipaddress.IPv6Address(int(digits, 16))))
    return sorted(found)


def private_problem(text: str, addresses: Sequence[str]) -> str:
    """What keeps this text from being a private address of a host with these, as the end of a sentence; or nothing."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "is no address"
    if str(address) != text:
        return f"is not how this address is written; write {address}"
    if text not in LOOPBACK and not any(address in network for network in PRIVATE):
        return f"is in none of the private networks {', '.join(map(str, PRIVATE))}"
    if text not in addresses:
        return f"is no address of this host; it has {', '.join(addresses) or 'none'}"
    return ""


def _read(proc: str, table: str) -> str:
    try:
        with open(os.path.join(proc, "net", table), encoding="ascii") as stream:
            return stream.read()
    except OSError:  # a kernel without this family
        return ""
