# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: llama_server_services
short_description: The services of declared servers of llama.cpp
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Turns servers into O(gguf.fleet.engine_service#module:services), one each, with the command line of
    P(gguf.fleet.llama_server_command#filter) and the environment of P(gguf.fleet.llama_server_environment#filter).
options:
  _input:
    description: The servers, as in C(llama_cpp_servers).
    type: list
    elements: dict
    required: true
  program:
    description: Path of llama-server.
    type: str
    required: true
  build:
    description: Its build number; 0 means a build that nobody knows, which is taken for a new one.
    type: int
    required: true
  variables:
    description: The variables that every server gets; the server's own win over them.
    type: dict
    required: true
  listening:
    description: Where each listens, in the same order, as the fleet value says it (C(engines.llama_cpp.servers)).
    type: list
    elements: dict
    required: true
  beside:
    description: Whether there is memory for those that do not say it beside the servers whose place they take.
    type: bool
    default: false
positional: program, build
"""

EXAMPLES = r"""
- name: Show the services
  ansible.builtin.debug:
    msg: "{{ llama_cpp_servers | gguf.fleet.llama_server_services('/usr/bin/llama-server', 0, **more) }}"
  vars:
    more: {variables: {}, listening: "{{ gguf_fleet.hosts[inventory_hostname].engines.llama_cpp.servers }}"}
"""

RETURN = r"""
_value:
  description: The services. They hold the secrets of their environment.
  type: list
  elements: dict
"""

import os.path
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.gguf.fleet.plugins.filter.llama_server_command import llama_server_command
from ansible_collections.gguf.fleet.plugins.filter.llama_server_environment import llama_server_environment


def llama_server_services(
    servers: Sequence[Mapping[str, Any]],
    program: str,
    build: int,
    *,
    variables: Mapping[str, Any],
    listening: Sequence[Mapping[str, Any]],
    beside: bool = False,
) -> list[dict[str, Any]]:
    # What lends GPUs is a service of another kind.
    own = {server["name"]: server["listen"]["url"] for server in listening}
    return [
        {
            "name": f"llama-cpp-{server['name']}",
            "description": f"llama.cpp, {server.get('alias') or server['name']}",
            "command": llama_server_command(server, program, build),
            "environment": llama_server_environment(server, variables, build),
            "mounts": [os.path.dirname(server["model"])],
            "url": own[f"llama-cpp-{server['name']}"],
            "models": [server.get("alias") or server["name"]],
            "beside": server.get("beside", beside),
        }
        for server in servers
    ]


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"llama_server_services": llama_server_services}
