#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: fleet_record
short_description: Keep on the controller what the hosts of this play reported
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Works on the controller alone, once for all hosts of the play, which C(run_once) says. It needs no C(delegate_to).
  - Writes the GPUs, the memory and the address and store of an adopted Ollama of each host that reported them in this
    run, with the date. What a host did not report in this run stays as it was.
  - The filter P(gguf.fleet.fleet#filter) takes from there what a host would report that this run does not ask, because
    it is outside C(--limit), cannot be reached, or belongs to a later batch.
  - The file is C(.gguf-fleet/record.json) beside the inventory, where Ansible does not take it for a part of the
    inventory; without an inventory directory (C(-i host,)) it is below the directory in which Ansible was started. The
    variable C(fleet_record_file) names another one. It holds no secret, has mode 0644, and need not be committed.
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  state:
    description: V(absent) forgets the hosts of the play.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Keep what the hosts reported
  gguf.fleet.fleet_record:
  run_once: true
"""

RETURN = r"""
paths:
  description: The files on the controller, one for each inventory directory.
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
