#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_model
short_description: Give an Ollama server a model without copying the file, or take one away
version_added: 0.1.0
description:
  - Puts a GGUF file into Ollama's store as a hard link and writes the model's manifest the way the server's own version
    does. This takes milliseconds and no disk space, where C(ollama create) copies the file and, from 0.30, rewrites it.
  - Settings may hold every character, also those that a Modelfile cannot carry.
  - Compares content. A changed parameter rewrites only the small files, a removed one really goes.
  - Never makes the server pull anything from a registry.
  - What was made is noted in the ledger C(/var/lib/gguf-fleet/ledger.json); O(state=pruned) goes by it.
  - The server must be running, since it removes at its start what no manifest names yet.
author:
  - gguf.fleet contributors (@gguf-fleet)
extends_documentation_fragment:
  - gguf.fleet.attributes
  - gguf.fleet.attributes.changes
  - gguf.fleet.model_settings
options:
  state:
    description:
      - V(present) makes the model be as described.
      - V(absent) removes it, and the blobs that no other model needs. O(file) itself stays where it is.
      - V(pruned) removes the models that this module made and that O(keep) does not name. Models of others stay.
    type: str
    choices: [present, absent, pruned]
    default: present
  name:
    description:
      - The model's name, C([host/][namespace/]model[:tag]). Upper and lower case count as the same.
      - Required unless O(state=pruned).
    type: str
  keep:
    description: The models that stay with O(state=pruned).
    type: list
    elements: str
    default: []
  file:
    description:
      - The GGUF file on the host, as an absolute path. It must be one whole model, not a shard.
      - It becomes root's and read-only, since the blob in the store is the same file.
    type: path
  from:
    description: A model in the store to derive this one from; what is not given here is taken from it.
    type: str
  import:
    description:
      - V(store) writes the store itself. When O(file) is on another file system, the blob is a symbolic link, or a copy
        if the server's user cannot reach the file; RV(actions) says which.
      - V(api) has the server do it. It copies the file, and from 0.30 needs three times its size for a while.
      - V(auto) takes V(store) for the versions that are tested (0.5.7 to 0.33) and V(api) for newer ones.
    type: str
    choices: [auto, store, api]
    default: auto
  host:
    description: The server's address.
    type: str
    default: http://127.0.0.1:11434
  models_dir:
    description:
      - The server's models directory, which its E(OLLAMA_MODELS) names.
      - Its owner becomes the owner of all that the server must be able to change.
    type: path
    default: /var/lib/ollama/models
  ollama_version:
    description:
      - The server's version, when what it says of itself is not to be used. One that was built locally says 0.0.0 and
        is taken for the newest tested one.
      - In check mode also the version to plan for while no server runs yet.
    type: str
  keep_alive:
    description:
      - Load the model after a change and tell in RV(loaded) where it landed. Seconds, or a duration such as V(30m).
      - V(-1) keeps it loaded for ever, and loads it again whenever it is not.
    type: str
  load_timeout:
    description: Seconds that the load may take. By default 300, and one more for each 100 MB of the model.
    type: int
"""

EXAMPLES = r"""
- name: Serve DeepSeek-R1 from the merged file
  gguf.fleet.ollama_model:
    name: DeepSeek-R1:Q2_K_XL
    file: /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf
    template: deepseek-r1
    parameters:
      num_ctx: 8192
      temperature: 0.6
    keep_alive: "-1"

- name: The same model with a longer context under another name, at no cost
  gguf.fleet.ollama_model:
    name: DeepSeek-R1:long
    from: DeepSeek-R1:Q2_K_XL
    parameters:
      num_ctx: 32768

- name: Take it away again
  gguf.fleet.ollama_model:
    name: DeepSeek-R1:long
    state: absent

- name: Take away what is no longer declared
  gguf.fleet.ollama_model:
    state: pruned
    keep:
      - DeepSeek-R1:Q2_K_XL
"""

RETURN = r"""
model:
  description: The model's name, spelled as the server spells it.
  returned: when O(name) is given
  type: str
  sample: DeepSeek-R1:Q2_K_XL
digest:
  description: The digest of its manifest, as C(ollama list) shows the beginning of it. Null when there is none.
  returned: success
  type: str
  sample: 2be8d2cc207ca3bbcb6b2b0c3f1ec2f8a2a6bdeb2d5e0c53a1b0a7d3c7f1d1aa
size_bytes:
  description: The size of the model with all its blobs.
  returned: success
  type: int
  sample: 226000000000
import_used:
  description: How it was done, V(store) or V(api).
  returned: success
  type: str
  sample: store
actions:
  description:
    - What was done, or would be done in check mode, in this order.
    - The ways to bring in the file are V(hard_link), V(symbolic_link), V(copy) and V(upload).
  returned: success
  type: list
  elements: dict
  contains:
    action:
      description: The kind of action.
      type: str
      sample: hard_link
    path:
      description: The file, or the model's name.
      type: str
      sample: /var/lib/ollama/models/blobs/sha256-5f1…
    reason:
      description: Why.
      type: str
      sample: not there yet
    size_bytes:
      description: The size of what is written, or what removing it frees.
      type: int
      sample: 226000000000
freed_bytes:
  description: The bytes that were really freed. A removed blob frees nothing while the file has another name.
  returned: success
  type: int
  sample: 0
kept_files:
  description: The files of the removed models, which stay where they are and hold their space.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
      sample: /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf
    size_bytes:
      description: Its size.
      type: int
    made:
      description: Whether M(gguf.fleet.gguf_download) or M(gguf.fleet.gguf_merge) made it.
      type: bool
loaded:
  description: The model in the server's memory, when O(keep_alive) is given and it is there.
  returned: success
  type: dict
  contains:
    size_bytes:
      description: What it takes altogether.
      type: int
    size_vram_bytes:
      description: What of it is on GPUs.
      type: int
    gpu_percent:
      description: The share on GPUs.
      type: int
    context_length:
      description: Its context, in tokens. Null from servers that do not tell.
      type: int
    pinned:
      description: Whether it stays loaded for ever.
      type: bool
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""

import json

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import model_run as run
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.arguments import MODEL_SETTINGS
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

STATES = {"present": run.present, "absent": run.absent, "pruned": run.pruned}


def request_of(module: AnsibleModule) -> run.Request:
    params = module.params
    return run.Request(
        host=params["host"],
        models_dir=params["models_dir"],
        check=module.check_mode,
        name=params["name"] or "",
        keep=params["keep"],
        file=params["file"],
        base=params["from"],
        template=params["template"],
        system=params["system"],
        parameters=params["parameters"],
        messages=params["messages"],
        license=params["license"],
        import_way=params["import"],
        version=params["ollama_version"],
        keep_alive=params["keep_alive"],
        load_timeout=params["load_timeout"],
    )


def readable(model: dict) -> str:
    return json.dumps(model, indent=1, ensure_ascii=False) + "\n" if model else ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent", "pruned"], "default": "present"},
            "name": {"type": "str"},
            "keep": {"type": "list", "elements": "str", "default": []},
            "file": {"type": "path"},
            "from": {"type": "str"},
            **MODEL_SETTINGS,
            "import": {"type": "str", "choices": ["auto", "store", "api"], "default": "auto"},
            "host": {"type": "str", "default": "http://127.0.0.1:11434"},
            "models_dir": {"type": "path", "default": "/var/lib/ollama/models"},
            "ollama_version": {"type": "str"},
            "keep_alive": {"type": "str"},
            "load_timeout": {"type": "int"},
        },
        mutually_exclusive=[("file", "from")],
        required_if=[
            ("state", "present", ("name",)),
            ("state", "present", ("file", "from"), True),
            ("state", "absent", ("name",)),
        ],
        supports_check_mode=True,
    )
    try:
        result = STATES[module.params["state"]](request_of(module), Ledger())
    except Problem as error:
        module.fail_json(**failure(error))
    for warning in result.warnings:
        module.warn(printable(warning))
    diff = {"before": readable(dict(result.before)), "after": readable(dict(result.after))}
    module.exit_json(diff=diff, **result.as_dict())


if __name__ == "__main__":
    main()
