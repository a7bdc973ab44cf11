# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

from ansible_collections.gguf.fleet.plugins.module_utils._secrets import masked

DOCUMENTATION = r"""
name: without_secrets
short_description: Settings that may be printed
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Replaces the secrets in a value, nested ones included, by asterisks. Ansible prints what a task loops over and what
    becomes a fact.
  - A setting is secret by its name (C(…_KEY), C(…_TOKEN), C(…_PASSWORD), C(…_SECRET) and the like) or by a user in a
    URL or a proxy's address.
options:
  _input:
    description: Any value.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Show the environment of the server
  ansible.builtin.debug:
    msg: "{{ ollama_environment | gguf.fleet.without_secrets }}"
"""

RETURN = r"""
_value:
  description: The same value without its secrets.
  type: raw
"""


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"without_secrets": masked}
