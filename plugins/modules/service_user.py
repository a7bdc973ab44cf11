#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: service_user
short_description: Make the user of a service, and remove only one that was made here
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Makes a system user with a group of the same name and a home, and notes in the host's ledger what of them was
    missing before.
  - A user that is there already keeps its home, shell and group; it only gets O(groups).
  - With O(state=absent) the user, the group and the home go as far as this module made them; all else stays, and is
    named in RV(stays).
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  name:
    description: Name of the user and of its group.
    type: str
    required: true
  state:
    description: Whether the user should be there.
    type: str
    choices: [present, absent]
    default: present
  home:
    description: The user's home. Required for O(state=present).
    type: path
  comment:
    description: What the user is for.
    type: str
    default: ''
  groups:
    description: More groups, which have to exist.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Make the user that runs Ollama
  gguf.fleet.service_user:
    name: ollama
    home: /var/lib/ollama
    comment: Ollama
    groups: [render, video]

- name: Remove it, if it was made here
  gguf.fleet.service_user:
    name: ollama
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done.
  returned: always
  type: list
  elements: str
  sample: [make the group ollama, make the user ollama, make the directory /var/lib/ollama]
stays:
  description: What stays although O(state=absent), and why.
  returned: always
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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._install import account
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "home": {"type": "path"},
            "comment": {"type": "str", "default": ""},
            "groups": {"type": "list", "elements": "str", "default": []},
        },
        required_if=[("state", "present", ["home"])],
        supports_check_mode=True,
    )
    p = module.params
    stays: list[str] = []
    try:
        if p["state"] == "present":
            wanted = account.Wanted(p["name"], p["home"], p["comment"], tuple(p["groups"]))
            actions = account.plan_present(wanted)
            if actions and not module.check_mode:
                account.make_present(wanted)
        else:
            removal = account.plan_absent(p["name"])
            actions, stays = list(removal.actions), list(removal.stays)
            if stays:
                module.warn(printable(f"Not removed: {'; '.join(stays)}."))
            if not module.check_mode:
                account.make_absent(p["name"], removal)
    except Problem as error:
        module.fail_json(**failure(error))
    except OSError as error:
        module.fail_json(**failure(file_problem(error, p["name"], "Look at the disk (df, mount) and run again.")))
    module.exit_json(
        changed=bool(actions),
        actions=actions,
        stays=stays,
        diff={"before": "", "after": "", "prepared": "".join(f"{action}\n" for action in actions)},
    )


if __name__ == "__main__":
    main()
