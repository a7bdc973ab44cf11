#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: gateway_keys
short_description: Make the keys of a gateway's clients
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Works on the controller alone. It needs no C(delegate_to).
  - A client that has neither C(key) nor C(key_sha256) gets a random key, in a file of its own with mode 0600. The key
    is printed nowhere. To give a client another key, remove its file and run again.
  - The files lie in C(.gguf-fleet/gateway-keys) beside the inventory, where Ansible does not take them for a part of
    the inventory; without an inventory directory (C(-i host,)) below the directory in which Ansible was started.
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  clients:
    description: The entries of C(gateway_clients).
    type: list
    elements: dict
    required: true
  directory:
    description: Another directory for the files. Empty for the one beside the inventory.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Make the keys of clients
  gguf.fleet.gateway_keys:
    clients: "{{ gateway_clients }}"
  register: keys
"""

RETURN = r"""
digests:
  description: The SHA-256 of each key by the client's name. In check mode without those of keys that are not made yet.
  returned: success
  type: dict
files:
  description: The files with keys by the client's name, for clients whose key was not given.
  returned: success
  type: dict
made:
  description: The files that were made, or would be made.
  returned: success
  type: list
  elements: str
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""
