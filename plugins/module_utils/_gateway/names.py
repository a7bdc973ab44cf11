# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What hosts, instances and models are called in HAProxy's configuration and in certificates."""

from __future__ import annotations

import re
from hashlib import sha256

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.gateway import model_key

GATEWAY_SERVICE, DOOR_SERVICE = "gguf-fleet-gateway", "gguf-fleet-door"
_DOMAIN = "gguf-fleet.internal"
_ODD = re.compile(r"[^a-z0-9.-]")
# A label of a name in DNS.
_MAX_CHARACTERS = 63


def safe(name: str) -> str:
    """A name that HAProxy, certificates and DNS take; two names never become one.

    Lower case letters, digits, dots and dashes. What had to be changed or cut ends in a part of its digest.
    """
    plain = _ODD.sub("-", name.lower()).strip(".-")
    if name and plain == name and len(plain) <= _MAX_CHARACTERS:
        return plain
    digest = sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{plain[: _MAX_CHARACTERS - 9].strip('.-')}-{digest}".lstrip("-")


def backend_of(model: str) -> str:
    """The backend of a model in a gateway's configuration."""
    return f"model_{safe(model_key(model))}"


def server_of(host: str, server: str) -> str:
    """The server of an instance in those backends.

    Args:
        host: its name in the inventory.
        server: `Server.name` of the fleet value.
    """
    return f"{safe(host)}_{safe(server)}"


def servers_of_host(host: str) -> str:
    """All servers of a host, whichever they are: what their names begin with, and `*`."""
    # No name that is safe has a `_` in it.
    return f"{safe(host)}_*"


def door_name(host: str) -> str:
    """In the certificate that a host's door shows, and what a gateway expects there."""
    return f"{safe(host)}.door.{_DOMAIN}"


def gateway_name(host: str) -> str:
    """In the certificate that a gateway shows to doors."""
    return f"{safe(host)}.gateway.{_DOMAIN}"


def instance_sni(host: str, server: str) -> str:
    """By what a door knows which of its instances a gateway wants."""
    return f"{safe(server)}.{safe(host)}.instance.{_DOMAIN}"
