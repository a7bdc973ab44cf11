#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: models_choose
short_description: Choose the quants that an inventory leaves to the fleet
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - For each model with C(quant=auto), reads the headers of the catalog's quants by ranges (M(gguf.fleet.gguf_resolve)),
    plans each on all hosts of the inventory that serve the name, and takes the best one that all of them hold wholly on
    their GPUs; where there is none, the smallest.
  - Works on the controller, once for all hosts of the play. Use it with C(run_once=true) and C(delegate_to=localhost).
  - What the lock file has pinned stays. A host that serves such a model and was never asked for its GPUs, in this run
    or in one before (M(gguf.fleet.fleet_record)), is named, and nothing is chosen.
  - Writes nothing. Hand RV(quants) to P(gguf.fleet.models_sources#filter) and its result to M(gguf.fleet.gguf_resolve),
    which pins the choice as C(<name>:auto).
extends_documentation_fragment:
  - gguf.fleet.attributes.info
options:
  lock_file:
    description: The file that holds the locks of the fleet, for messages.
    type: path
    required: true
  update:
    description: Choose again what is pinned.
    type: bool
    default: false
  tokens:
    description: Access tokens by hub; C(default) is for hubs that are not named.
    type: dict
    default: {}
  ca_file:
    description: A file of PEM certificates to trust instead of the system's.
    type: path
seealso:
  - module: gguf.fleet.gguf_resolve
  - module: gguf.fleet.gguf_plan
"""

EXAMPLES = r"""
- name: Choose
  gguf.fleet.models_choose:
    lock_file: "{{ inventory_dir }}/models.lock.txt"
  register: chosen
  run_once: true
  delegate_to: localhost

- name: Pin
  gguf.fleet.gguf_resolve:
    sources: "{{ hostvars | gguf.fleet.models_sources(ansible_play_hosts, chosen.quants, {}) }}"
    lock_file: "{{ inventory_dir }}/models.lock.txt"
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
quants:
  description: The quants by lock name, those that were pinned before among them.
  returned: success
  type: dict
  sample: {"deepseek-r1:auto": UD-Q2_K_XL}
said:
  description: A sentence on each that was chosen in this run, for people.
  returned: success
  type: list
  elements: str
problem:
  description: What is wrong.
  returned: failure
  type: str
remedy:
  description: What to do about it.
  returned: failure
  type: str
"""
