#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_status
short_description: Read what runs on a host now
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Tells which services of this collection run, what the engines say of themselves and of their models, which of the
    verified files are there, and what is free on their disk. Reads only, and takes seconds.
  - No model is loaded and nothing is generated. A server that does not answer within ten seconds counts as silent.
  - The playbook C(status) compares it with the inventory and the lock.
extends_documentation_fragment:
  - gguf.fleet.attributes.info
options:
  servers:
    description: The servers to ask, as C(servers) of a host of the fleet value (P(gguf.fleet.fleet#filter)).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of its service.
        type: str
        required: true
      engine:
        description: What serves there.
        type: str
        choices: [ollama, llama_cpp]
        required: true
      url:
        description: Its address.
        type: str
        required: true
  files:
    description: Paths of the verified files that the declared models need.
    type: list
    elements: str
    default: []
  models_dir:
    description: The directory of the verified files.
    type: path
    required: true
  store:
    description: Ollama's store.
    type: path
    default: ''
"""

EXAMPLES = r"""
- name: Look at what runs
  gguf.fleet.host_status:
    servers:
      - {name: ollama, engine: ollama, url: "http://127.0.0.1:11434"}
    models_dir: /srv/gguf-fleet/models
    store: /var/lib/ollama/models
  register: status
"""

RETURN = r"""
services:
  description: The services of this collection.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The name of the service.
      type: str
    running:
      description: Whether it runs.
      type: bool
    pid:
      description: Its process; V(null) where it does not run.
      type: int
    started_at:
      description: Since when, in UTC; V(null) where it does not run.
      type: str
      sample: "2026-03-01T09:30:00Z"
    uptime_seconds:
      description: For how many seconds; V(null) where it does not run.
      type: int
servers:
  description: What each of O(servers) answered, in their order.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: As in O(servers).
      type: str
    url:
      description: As in O(servers).
      type: str
    answers:
      description: Whether it does.
      type: bool
    version:
      description: The version that it gives; empty where it gives none.
      type: str
    problem:
      description: Why it does not answer, or not yet; else empty.
      type: str
    models:
      description: The models that it can serve, each with C(name), C(digest) and C(size_bytes).
      type: list
      elements: dict
    resident:
      description: The models in its memory, each with C(name), C(size_bytes), C(gpu_share) and C(pinned).
      type: list
      elements: dict
files:
  description: Each of O(files) with C(path), C(there), and C(sha256) where it is the one that was proved.
  returned: always
  type: list
  elements: dict
weights:
  description: The models in O(store), each with C(name) and the C(sha256) of its weights.
  returned: always
  type: list
  elements: dict
free_bytes:
  description: Bytes that may still be written to the file system of O(models_dir).
  returned: always
  type: int
made:
  description: As RV(gguf.fleet.host#module:made).
  returned: always
  type: dict
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

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem
from ansible_collections.gguf.fleet.plugins.module_utils._report.look import look


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "servers": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "engine": {"type": "str", "required": True, "choices": ["ollama", "llama_cpp"]},
                    "url": {"type": "str", "required": True},
                },
            },
            "files": {"type": "list", "elements": "str", "default": []},
            "models_dir": {"type": "path", "required": True},
            "store": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    p = module.params
    try:
        told = look(p["servers"], p["files"], p["models_dir"], p["store"])
    except Problem as error:
        module.fail_json(**failure(error))
    except OSError as error:
        module.fail_json(**failure(file_problem(error, p["models_dir"], "Look at the disk (df, mount) and run again.")))
    module.exit_json(changed=False, **told)


if __name__ == "__main__":
    main()
