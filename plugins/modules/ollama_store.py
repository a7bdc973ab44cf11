#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_store
short_description: Make the directories of Ollama's models, or remove them
version_added: 0.1.0
description:
  - Makes the models directory with C(blobs) and C(manifests) for the user of the service.
  - The store may lie in a directory that this user can change. No link in there is followed, so that nobody gets
    another directory by a link in a directory's place; links that only root could have made are.
  - A store is removed without what is not a store's. Whatever else lies in the directory stays, and is named.
author:
  - gguf.fleet contributors (@gguf-fleet)
extends_documentation_fragment:
  - gguf.fleet.attributes
  - gguf.fleet.attributes.changes
options:
  path:
    description: The models directory, which the server's E(OLLAMA_MODELS) names.
    type: path
    required: true
  state:
    description:
      - V(present) makes what is missing, and gives the three directories to O(owner) and O(group).
      - V(absent) removes all models and blobs of a store whose directory this module made, and of another store only
        the models that M(gguf.fleet.ollama_model) made, by the ledger C(/var/lib/gguf-fleet/ledger.json).
    type: str
    choices: [present, absent]
    default: present
  owner:
    description: The user of the service, by name or number. Required if O(state=present).
    type: str
  group:
    description: The group of the service, by name or number. By default that of O(owner).
    type: str
"""

EXAMPLES = r"""
- name: Make the directories of the models
  gguf.fleet.ollama_store:
    path: /var/lib/ollama/models
    owner: ollama

- name: Remove the store
  gguf.fleet.ollama_store:
    path: /var/lib/ollama/models
    state: absent
"""

RETURN = r"""
path:
  description: The models directory.
  returned: success
  type: str
  sample: /var/lib/ollama/models
actions:
  description: What was done, or would be done in check mode, in this order.
  returned: success
  type: list
  elements: str
  sample: [make /var/lib/ollama/models/blobs]
kept:
  description: What stays in the models directory, since it is not a store's or not ours.
  returned: success
  type: list
  elements: str
  sample: [/srv/models/notes.txt]
freed_bytes:
  description: The bytes that were freed. A removed blob frees nothing while the file has another name.
  returned: success
  type: int
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

from ansible_collections.gguf.fleet.plugins.module_utils._action import sentences
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import store_directories, store_removal
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

_NAMED = 20


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
        },
        required_if=[("state", "present", ("owner",))],
        supports_check_mode=True,
    )
    path, check = module.params["path"], module.check_mode
    try:
        if module.params["state"] == "present":
            owner = store_directories.owner_of(module.params["owner"], module.params["group"], check=check)
            outcome = store_directories.present(path, owner, Ledger(), check=check)
        else:
            outcome = store_removal.absent(path, Ledger(), check=check)
    except Problem as problem:
        module.fail_json(**failure(problem))
    kept = [printable(name) for name in outcome.kept]
    for warning in outcome.warnings:
        module.warn(printable(warning))
    if kept:
        more = f" and {len(kept) - _NAMED} more" if len(kept) > _NAMED else ""
        module.warn(printable(f"What is not the store's, or not ours, stays: {', '.join(kept[:_NAMED])}{more}."))
    actions = sentences(outcome.actions)
    module.exit_json(
        changed=bool(actions),
        path=path,
        actions=actions,
        kept=kept,
        freed_bytes=outcome.freed_bytes,
        diff={"before": "", "after": "".join(f"{action}\n" for action in actions)},
    )


if __name__ == "__main__":
    main()
