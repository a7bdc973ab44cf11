# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.problem import DeclarationProblem
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.server_secrets import split
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.servers import visible_cards

DOCUMENTATION = r"""
name: llama_server_environment
short_description: The environment of llama-server for one declared server
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Adds the secrets among a server's parameters to its environment, since every user of a host can read a command
    line. C(api-key) becomes C(LLAMA_API_KEY), C(hf-token) becomes C(HF_TOKEN).
  - P(gguf.fleet.llama_server_command#filter) leaves them out.
options:
  _input:
    description: The server, with C(name) and optionally C(parameters).
    type: dict
    required: true
  variables:
    description: The variables that every server gets; the server's own win over them.
    type: dict
    required: true
  build:
    description: Its build number; 0 means a build that nobody knows, which is taken for a new one.
    type: int
    required: true
positional: variables, build
"""

EXAMPLES = r"""
- name: Show the names of the variables
  ansible.builtin.debug:
    msg: "{{ (r1 | gguf.fleet.llama_server_environment({}, 11669)).keys() }}"
  vars:
    r1: {name: r1, parameters: {api-key: "{{ vault_llama_key }}"}}
"""

RETURN = r"""
_value:
  description: The variables.
  type: dict
"""


def llama_server_environment(
    server: t.Mapping[str, t.Any], variables: t.Mapping[str, t.Any], build: int
) -> dict[str, t.Any]:
    try:
        _plain, secret = split(f"llama_cpp_servers, {server.get('name')}", server.get("parameters") or {}, int(build))
    except DeclarationProblem as problem:
        raise AnsibleFilterError(str(problem)) from problem
    return {**variables, **visible_cards(server.get("gpus") or []), **secret}


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"llama_server_environment": llama_server_environment}
