#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gguf_rehearsal
short_description: Make files that an engine loads like a model before its weights are downloaded
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Fetches the headers of a lock's files, a few MiB, and writes files of the model's full length that hold these
    headers and nothing else. The tensors are holes, which read as zeros and take no disk.
  - An engine that loads them needs the memory, the driver and the placement of the real model, so that a load proves
    all of these in minutes. What it then generates is noise; that it generates at all is the proof.
  - The files cannot be mistaken for the model. They are called C(rehearsal-...), lie in a folder of their own, and the
    ledger knows them as rehearsals, never as verified files. M(gguf.fleet.ollama_model) takes such a file into the
    store without reading it; remove that model when the rehearsal is over.
  - The playbook C(gguf.fleet.rehearse) does all of it.
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  dest:
    description:
      - Folder of the files, an absolute path whose last part starts with C(rehearsal). It is made when it is not there
        and holds nothing else.
    type: path
    required: true
  lock:
    description: The lock, as M(gguf.fleet.gguf_resolve) returns it. Needed for O(state=present).
    type: dict
  layout:
    description: V(merged) makes one file, as Ollama wants it, V(shards) one for each shard, as llama.cpp loads them.
    type: str
    choices: [merged, shards]
    default: merged
  token:
    description: The hub's access token. It goes to the origin of the lock's endpoint only.
    type: str
  ca_file:
    description: A file of PEM certificates on the host to trust instead of the system's.
    type: path
  state:
    description: V(present) writes the files, V(absent) removes them and their folder.
    type: str
    choices: [present, absent]
    default: present
notes:
  - The engine reads every hole as zeros. That is as quick as memory on a local file system; over NFS the zeros travel.
seealso:
  - module: gguf.fleet.gguf_plan
  - module: gguf.fleet.gguf_download
"""

EXAMPLES = r"""
- name: Write what the engine is to try to load
  gguf.fleet.gguf_rehearsal:
    lock: "{{ lock }}"
    dest: /srv/gguf-fleet/models/rehearsal
    layout: shards
  register: rehearsal

- name: Remove it
  gguf.fleet.gguf_rehearsal:
    dest: /srv/gguf-fleet/models/rehearsal
    state: absent
"""

RETURN = r"""
path:
  description: The folder.
  type: str
  returned: always
paths:
  description: The files, the first shard first.
  type: list
  elements: str
  returned: when O(state=present)
  sample: [/srv/gguf-fleet/models/rehearsal/rehearsal-DeepSeek-R1-UD-Q2_K_XL-00001-of-00005.gguf]
size_bytes:
  description: Length of the files together, in bytes.
  type: int
  returned: when O(state=present)
disk_bytes:
  description: Bytes of disk that they take.
  type: int
  returned: when O(state=present) and not in check mode
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: always
  sample: ["write /srv/rehearsal/model-00001-of-00003.gguf (47,000,000,000 bytes)"]
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""

import os
import posixpath
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._action import sentence
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.files import destination
from ansible_collections.gguf.fleet.plugins.module_utils._gguf import rehearsal
from ansible_collections.gguf.fleet.plugins.module_utils._http.client import HttpClient
from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import hub_secrets
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._lock.headers import read_locked
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem


def wanted_files(params: dict[str, Any]) -> list[rehearsal.SparseFile]:
    """The files of the rehearsal, from the headers as they are on the hub now."""
    lock, dest = check_lock(params["lock"]), params["dest"]
    client = HttpClient(secrets=hub_secrets(lock, params["token"]), ca_file=params["ca_file"])
    try:
        headers = read_locked(lock, client)
    finally:
        client.close()
    if params["layout"] == "merged":
        name = posixpath.basename(destination(lock, "merged", ""))
        return rehearsal.as_merged(dest, name, headers, lock["merged"]["size_bytes"])
    names = [posixpath.basename(file["path"]) for file in lock["files"]]
    return rehearsal.as_shards(dest, names, headers, [file["size_bytes"] for file in lock["files"]])


def present(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    dest = params["dest"]
    found = rehearsal.check_folder(dest)
    files = wanted_files(params)
    paths = [file.path for file in files]
    actions = [removed(path) for path in found if path not in paths]
    actions += [sentence("write", file.path, size_bytes=file.size_bytes) for file in files if not file.is_there()]
    outcome = {**result(dest, actions), "paths": paths, "size_bytes": sum(file.size_bytes for file in files)}
    if not check_mode:
        rehearsal.write(dest, files, Ledger())
        # st_blocks counts in units of 512 bytes, whatever the file system's own blocks are.
        outcome["disk_bytes"] = sum(os.stat(path).st_blocks * 512 for path in paths)
    return outcome


def absent(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    dest = params["dest"]
    found = rehearsal.check_folder(dest)
    there = os.path.isdir(dest)
    outcome = result(dest, [removed(path) for path in found])
    if there and not check_mode:
        rehearsal.remove(dest, found, Ledger())
    return {**outcome, "changed": there}


def removed(path: str) -> str:
    return sentence("remove", path, size_bytes=os.path.getsize(path))


def result(dest: str, actions: list[str]) -> dict[str, Any]:
    shown = "".join(f"{action}\n" for action in actions)
    return {"changed": bool(actions), "path": dest, "actions": actions, "diff": {"before": "", "after": shown}}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "lock": {"type": "dict"},
            "layout": {"type": "str", "choices": ["merged", "shards"], "default": "merged"},
            "token": {"type": "str", "no_log": True},
            "ca_file": {"type": "path"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ("lock",))],
        supports_check_mode=True,
    )
    act = present if module.params["state"] == "present" else absent
    try:
        outcome = act(module.params, module.check_mode)
    except Problem as error:
        module.fail_json(**failure(error))
    except OSError as error:
        remedy = "Run as root, and check the disk."
        module.fail_json(**failure(file_problem(error, module.params["dest"], remedy)))
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
