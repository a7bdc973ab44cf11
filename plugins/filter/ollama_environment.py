# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ollama_environment
short_description: Check the environment of an Ollama server
version_added: 0.1.0
author:
  - gguf.fleet contributors (@gguf-fleet)
description:
  - Returns the variables as text, ready for a unit or an environment file.
  - Fails when that version of Ollama would ignore a variable or misread a value, since Ollama itself never refuses any.
options:
  _input:
    description: The variables and their values.
    type: dict
    required: true
  version:
    description: The version of Ollama that is to read them.
    type: str
    required: true
positional: version
"""

EXAMPLES = r"""
- name: Show what the service will get
  ansible.builtin.debug:
    msg: "{{ {'OLLAMA_FLASH_ATTENTION': true, 'OLLAMA_ORIGINS': '*'} | gguf.fleet.ollama_environment('0.33.2') }}"
"""

RETURN = r"""
_value:
  description: The same variables; V(true) and V(false) became C(1) and C(0).
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.environment import check_environment
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem
from ansible_collections.gguf.fleet.plugins.module_utils._problem import failure


def ollama_environment(value: Any, version: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise AnsibleFilterError(f"gguf.fleet.ollama_environment takes a dict, not {value!r}.")
    try:
        return check_environment(value, str(version))
    except OllamaProblem as problem:
        raise AnsibleFilterError(failure(problem)["msg"]) from problem


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ollama_environment": ollama_environment}
