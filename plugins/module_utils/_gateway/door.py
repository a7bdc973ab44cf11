# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The configuration of a host's door: mutual TLS for the gateways, and behind it the host's instances, closed else."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.listen import bracketed
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.fragments import (
    defaults_section,
    global_section,
    text_of,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.names import (
    door_name,
    gateway_name,
    instance_sni,
    server_of,
    servers_of_host,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.paths import (
    CHECK_PATHS,
    NATIVE_PATHS,
    OLLAMA,
    OPENAI_PATHS,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.signed import common_name

SOCKET = "/run/gguf-fleet/door.sock"
MAX_CONNECTIONS = 4000
QUEUE_SECONDS = 10


def door(fleet: Mapping[str, Any], host: str, bind: str = "") -> Dict[str, Any]:
    """What the door of a host is made of: `files` and `certificates` for the module haproxy; and `members`.

    fleet: the fleet value as plain data. members: every host with a gateway or a door, whose certificates one authority
    signs.
    """
    own = [one for one in fleet["instances"] if one["host"] == host]
    port = own[0]["door_port"] if own else 0
    # A gateway's HAProxy expects the name that it sends, which is that of the instance.
    names = [door_name(host), *(instance_sni(host, one["server"]) for one in own)]
    return {
        "files": {"haproxy.cfg": door_configuration(own, list(fleet["gateways"]), port, bind)},
        "certificates": [{"file": "tls/server.pem", "names": names, "usage": "server"}],
        "members": members(fleet),
        "port": port,
    }


def servers_of(fleet: Mapping[str, Any], host: str, servers: Optional[Sequence[str]] = None) -> List[str]:
    """What the instances of a host are called in the configuration of gateways, for the module gateway_servers.

    servers: the services of some of them. Without, all of the host, also those that a gateway still knows and that are
    declared no more.
    """
    if not fleet["gateways"]:
        return []
    return [servers_of_host(host)] if servers is None else [server_of(host, name) for name in servers]


def members(fleet: Mapping[str, Any]) -> List[str]:
    """Every host with a gateway or a door."""
    return sorted({*fleet["gateways"], *(one["host"] for one in fleet["instances"])})


def door_configuration(instances: Sequence[Mapping[str, Any]], gateways: Sequence[str], port: int, bind: str) -> str:
    """The text of haproxy.cfg.

    Args:
        instances: of this host, as the fleet value has them (host, server, engine, listen).
        gateways: hosts of the group `gateway` by their names in the inventory. Nobody else is let in.
        port: where the door listens.
        bind: the address there; empty for all of IPv4.
    """
    names = " ".join(common_name(gateway_name(name)) for name in sorted(gateways))
    lines = [
        *global_section(socket=SOCKET, max_connections=MAX_CONNECTIONS, log="local0 notice"),
        # One server each: there is no other one to try.
        *defaults_section(queue_seconds=QUEUE_SECONDS, retries=1),
        "frontend door",
        f"    bind {bracketed(bind)}:{port} ssl crt tls/server.pem ca-file tls/ca.pem verify required alpn http/1.1",
        *([f"    acl from_a_gateway ssl_c_s_dn(CN) -m str {names}"] if names else []),
        "    http-request deny deny_status 403" + (" unless from_a_gateway" if names else ""),
    ]
    for number, one in enumerate(instances):
        lines.append(
            f"    use_backend instance_{number} if {{ ssl_fc_sni -i {instance_sni(one['host'], one['server'])} }}"
        )
    lines += ["    default_backend none", "", "backend none", "    http-request deny deny_status 404"]
    for number, one in enumerate(instances):
        lines += ["", *_backend(number, one)]
    return text_of(lines)


def _backend(number: int, one: Mapping[str, Any]) -> List[str]:
    exact = [path for path in CHECK_PATHS[one["engine"]] if not path.endswith("/")]
    below = [path for path in CHECK_PATHS[one["engine"]] if path.endswith("/")]
    posts = [*OPENAI_PATHS, *(NATIVE_PATHS if one["engine"] == OLLAMA else ())]
    allowed = [
        "is_post path_post",
        *(["is_get path_get"] if exact else []),
        *(["is_get path_below !path_odd"] if below else []),
    ]
    return [
        f"# {one['server']}",
        f"backend instance_{number}",
        "    acl is_get method GET",
        "    acl is_post method POST",
        f"    acl path_post path {' '.join(posts)}",
        *([f"    acl path_get path {' '.join(exact)}"] if exact else []),
        *([f"    acl path_below path_beg {' '.join(below)}", "    acl path_odd path_sub .. // %"] if below else []),
        f"    http-request deny deny_status 403 unless {' or '.join(allowed)}",
        # Ollama on a loopback address refuses any other name.
        *(["    http-request set-header Host 127.0.0.1"] if one["engine"] == OLLAMA else []),
        f"    server engine {str(one['listen']['url']).partition('://')[2]}",
    ]
