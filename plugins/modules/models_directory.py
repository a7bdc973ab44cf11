#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: models_directory
short_description: Make the directory of the verified model files, or take our files out of it
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Makes the directory, with mode 0755, and gives it to root. A link on the way is followed only where nobody but root
    could have made it.
  - With O(state=absent) the files that the ledger C(/var/lib/gguf-fleet/ledger.json) names go, what unfinished
    downloads and merges left, and then the directories that are empty. Everything else stays and is named in RV(stays).
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  path:
    description: The directory.
    type: path
    required: true
  state:
    description: Whether the directory should be there, or our files in it be gone.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Make the directory of the verified files
  gguf.fleet.models_directory:
    path: /srv/gguf-fleet/models
"""

RETURN = r"""
actions:
  description: What was done, or would be done.
  returned: always
  type: list
  elements: str
  sample: [make /srv/gguf-fleet/models]
stays:
  description: What is in the directory and was not made by this collection, with O(state=absent).
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

from ansible_collections.gguf.fleet.plugins.module_utils._install import models_directory
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    path = module.params["path"]
    work = models_directory.present if module.params["state"] == "present" else models_directory.absent
    try:
        done = work(path, check=module.check_mode)
    except Problem as error:
        module.fail_json(**failure(error))
    except OSError as error:
        module.fail_json(**failure(file_problem(error, path, "Look at the disk (df, mount) and run again.")))
    if done.stays:
        module.warn(printable(f"Not removed, since this collection did not make it: {', '.join(done.stays[:5])}."))
    module.exit_json(
        changed=bool(done.actions),
        actions=list(done.actions),
        stays=list(done.stays),
        diff={"before": "", "after": "", "prepared": "".join(f"{action}\n" for action in done.actions)},
    )


if __name__ == "__main__":
    main()
