# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: ollama_services
short_description: The services of a host's Ollama servers
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Turns the servers of the fleet value (C(engines.ollama.servers)) into O(gguf.fleet.engine_service#module:services),
    one each.
options:
  _input:
    description: The servers, with C(name), C(instance), C(url), C(models), C(resident) and C(environment).
    type: list
    elements: dict
    required: true
  environment:
    description: The environment of all of them; a server's own wins over it.
    type: dict
    required: true
  start_lock:
    description: What the first server waits for before it starts. The others remove nothing from the store.
    type: str
    required: true
  asked:
    description: Models that the first server is asked for in the place of its own.
    type: list
    elements: str
    default: []
  asks:
    description: Whether a model must answer.
    type: bool
    default: true
  gpus:
    description: Whether models must land on GPUs, where a server is allowed to see them.
    type: bool
    default: false
positional: environment, start_lock
"""

EXAMPLES = r"""
- name: Show the services
  ansible.builtin.debug:
    msg: "{{ servers | gguf.fleet.ollama_services({}, '/var/lib/gguf-fleet/ollama-store.lock') }}"
  vars:
    servers: "{{ gguf_fleet.hosts[inventory_hostname].engines.ollama.servers }}"
"""

RETURN = r"""
_value:
  description: The services. They hold the secrets of their environment.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

FIRST = "ollama"


def ollama_services(
    servers: Sequence[Mapping[str, Any]],
    environment: Mapping[str, Any],
    start_lock: str,
    *,
    asked: Sequence[str] = (),
    asks: bool = True,
    gpus: bool = False,
) -> list[dict[str, Any]]:
    found = []
    for server in servers:
        own = {**environment, **server["environment"]}
        models = (asked if not server["instance"] else []) or server["models"]
        found.append(
            {
                "name": server["name"],
                "description": f"Ollama, {server['instance']}" if server["instance"] else "Ollama",
                "environment": own,
                "start_lock": start_lock if server["name"] == FIRST else "",
                "loads": list(server.get("resident") or []),
                "url": server["url"],
                "models": list(models) if asks else [],
                # -1 hides all cards.
                "gpus": gpus and str(own.get("CUDA_VISIBLE_DEVICES", "")) != "-1",
            }
        )
    return found


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ollama_services": ollama_services}
