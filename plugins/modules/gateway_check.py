#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: gateway_check
short_description: Ask every model through a gateway, and check what it refuses
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Works on the controller alone, over the network, with the key of one of the clients. It needs no C(delegate_to).
  - Every model that the client may ask for answers a question, as a stream and as a whole. A request without a key has
    to get 401, and paths that change something 403.
  - The key is read on the controller (M(gguf.fleet.gateway_keys)). Where none is known there, because every client has
    C(key_sha256), nothing is asked, and RV(report) says so.
extends_documentation_fragment:
  - gguf.fleet.attributes.info
options:
  url:
    description: The address of the gateway for clients, without a path.
    type: str
    required: true
  address:
    description: Where to connect instead of the name in O(url), which the certificate has to name in any case.
    type: str
    default: ''
  models:
    description: The models behind the gateway.
    type: list
    elements: str
    required: true
  clients:
    description: The entries of C(gateway_clients).
    type: list
    elements: dict
    required: true
  keys_dir:
    description: The directory of M(gguf.fleet.gateway_keys), where that is not the one beside the inventory.
    type: str
    default: ''
  ca_file:
    description: Certificates to trust, a path on the controller. Empty for those of the system.
    type: str
    default: ''
  trust:
    description: Further certificates to trust beside O(ca_file), in PEM.
    type: str
    default: ''
  certificate_only:
    description: Whether to look only how long the gateway's certificate holds. Asks no model and needs no key.
    type: bool
    default: false
    version_added: 0.2.0
  question:
    description: What every model is asked.
    type: str
    default: Say hello in one short sentence.
  max_tokens:
    description: Longest answer in tokens.
    type: int
    default: 64
  timeout_seconds:
    description: How long a model may take to load and answer, in seconds.
    type: float
    default: 3600
"""

EXAMPLES = r"""
- name: Ask through the gateway
  gguf.fleet.gateway_check:
    url: https://llm.example.com
    models: [deepseek-r1]
    clients: "{{ gateway_clients }}"
"""

RETURN = r"""
verified:
  description: Whether the gateway was asked and is as it should be.
  returned: always
  type: bool
models:
  description: What each model answered.
  returned: success
  type: list
  elements: dict
  contains:
    model:
      description: Its name.
      type: str
    answer:
      description: Its words.
      type: str
    first_token_seconds:
      description: How long the first of them took.
      type: float
    tokens_per_second:
      description: How fast the rest came, where the engine tells.
      type: float
certificate_days_left:
  description: Whole days until the gateway's certificate ends. Below 30 the report warns.
  returned: when the gateway was asked
  type: int
  sample: 300
report:
  description: Lines to print.
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
