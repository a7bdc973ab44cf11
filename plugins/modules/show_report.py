#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: show_report
short_description: Print a report as plain text
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Prints lines in the output of the playbook as they are, whatever the result format of the callback is, where
    M(ansible.builtin.debug) prints them as JSON or YAML.
  - Works on the controller alone and changes nothing. It needs no C(delegate_to).
  - What hosts and hubs said may be in the lines. Characters that move the cursor, change colours, hide text or reverse
    it are printed as escapes.
extends_documentation_fragment:
  - gguf.fleet.attributes.info
options:
  lines:
    description: A list of lines, or one text. Nothing is printed when it is empty.
    type: raw
    required: true
  refuse:
    description: Why the play must not go on. When it is not empty, the task fails with it after the lines are printed.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Show what was found
  gguf.fleet.show_report:
    lines: "{{ findings | gguf.fleet.preflight_report }}"
  run_once: true
"""

RETURN = r"""
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""
