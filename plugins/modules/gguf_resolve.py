#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gguf_resolve
short_description: Pin the files of models in locks
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Finds the files of one quant of a model on a hub, checks that the set is whole, reads the shards' headers by
    range requests, and returns a lock. The lock holds paths, sizes, checksums, addresses and what the headers say,
    which is enough to plan the placement and to lay out the merge before the first tensor byte moves.
  - Takes all sources of a fleet in one run. A repository is listed once, whatever is asked for of it; the headers are
    read over several connections. All sources are asked, also when one fails; the failure then names each that failed,
    and nothing is written.
  - With O(lock_file), a lock is written there once and used from then on. A lock that is there needs no network.
  - Runs on the controller. Use it with C(delegate_to=localhost) and C(run_once=true). Only files that lie on a host
    (O(sources[].source.hub=path)) are read there, without O(lock_file); hand the lock to the run on the controller as
    O(sources[].lock).
  - Tokens and passwords never get into a lock, and show in no output.
requirements:
  - PyYAML, which ansible-core brings along, for O(lock_file)
  - modelscope >= 1.38 for O(sources[].source.hub=modelscope)
  - huggingface_hub for O(sources[].source.hub=huggingface)
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  sources:
    description: The sources, each with a name of its own.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the lock, in O(lock_file) and in RV(locks).
        type: str
        required: true
      source:
        description: Where the files come from.
        type: dict
        required: true
        suboptions:
          hub:
            description:
              - The kind of place.
              - V(url) takes plain addresses, V(path) a folder on the machine on which the module runs.
            type: str
            choices: [modelscope, huggingface, url, path]
            default: modelscope
          repo:
            description: The repository as C(owner/name). Needed by the hubs V(modelscope) and V(huggingface).
            type: str
          revision:
            description: Branch, tag or commit. The default is the hub's default branch.
            type: str
          quant:
            description:
              - The quant by its name, such as V(UD-Q2_K_XL). The publisher's prefix may be left out where that is
                unambiguous.
              - Not needed where the repository holds only one.
            type: str
          pattern:
            description:
              - A glob over the paths in the repository that fits exactly one set of shards, such as V(UD-Q2_K_XL/*).
              - The whole path of one shard stands for its set.
            type: str
          urls:
            description:
              - The address of each file, for V(url). The address of the first shard is enough, its name tells the
                others.
              - Addresses may hold user and password; they are used here and left out of the lock.
            type: list
            elements: str
          path:
            description: The folder with the files, for V(path). The hosts that fetch them have it under the same path.
            type: path
          sha256:
            description: Checksums that are known from elsewhere, by file name or by path in the repository.
            type: dict
            default: {}
          endpoint:
            description:
              - Base address of the hub or of a mirror that speaks its protocol.
              - The default is what E(MODELSCOPE_ENDPOINT) or E(HF_ENDPOINT) name, else the hub itself.
            type: str
          token:
            description: Access token of the hub. The default is the one that the hub's own SDK was given by its login.
            type: str
      seal:
        description:
          - What M(gguf.fleet.gguf_seal) returned from a host with verified files. It is added to the lock, with the
            checksums of pieces, the checksums that the hub did not tell, and the checksum of the merged file.
          - A seal that contradicts the lock is refused.
        type: dict
      lock:
        description:
          - What this module returned for the same source on a host that has the files. It is taken instead of a look
            from here.
          - One that is of something else, or names a file outside of the folder, is refused.
        type: dict
        version_added: 0.2.0
      optional:
        description: Leave this one out, with its reason in RV(problems), where the hub does not have it.
        type: bool
        default: false
  lock_file:
    description:
      - The file that holds the locks of a fleet, beside the inventory. Commit it.
      - Without it, every run asks the hubs.
    type: path
  update:
    description:
      - Ask the hubs although the locks are there, and write what changed.
      - The seal, and checksums that the hub does not tell, stay when the hub lists the same checksums as before, or the
        same files at the same commit.
    type: bool
    default: false
  ca_file:
    description: A file of PEM certificates to trust instead of the system's.
    type: path
seealso:
  - module: gguf.fleet.gguf_download
  - module: gguf.fleet.gguf_seal
"""

EXAMPLES = r"""
- name: Pin DeepSeek-R1 in 2.51 bit, and files of a mirror of our own
  gguf.fleet.gguf_resolve:
    sources:
      - name: deepseek-r1
        source:
          repo: unsloth/DeepSeek-R1-GGUF
          quant: UD-Q2_K_XL
      - name: house-model
        source:
          hub: url
          urls:
            - https://mirror.example.com/models/house-Q4_K_M-00001-of-00003.gguf
    lock_file: "{{ inventory_dir }}/models.lock.txt"
  delegate_to: localhost
  run_once: true
  register: resolved

- name: Look at what changed on the hub, without writing it
  gguf.fleet.gguf_resolve:
    sources:
      - name: deepseek-r1
        source:
          repo: unsloth/DeepSeek-R1-GGUF
          quant: UD-Q2_K_XL
    lock_file: "{{ inventory_dir }}/models.lock.txt"
    update: true
  delegate_to: localhost
  check_mode: true
  diff: true

- name: Fetch what was pinned
  gguf.fleet.gguf_download:
    downloads:
      - lock: "{{ resolved.locks['deepseek-r1'] }}"
        dest: /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf
"""

RETURN = r"""
locks:
  description: The pinned files by the names of the sources, as written to the lock file.
  type: dict
  returned: success
  contains:
    NAME:
      description: One lock.
      type: dict
      returned: success
      contains:
        lock_version:
          description: Version of this structure.
          type: int
          returned: success
        hub:
          description: The hub that was asked.
          type: str
          returned: success
        endpoint:
          description: Its base address.
          type: str
          returned: success
        repo:
          description: The repository, V(null) for plain addresses and folders.
          type: str
          returned: success
        revision:
          description: The revision that was asked for, V(null) for plain addresses and folders.
          type: str
          returned: success
        commit:
          description: The commit that the addresses are pinned to, V(null) where the hub has none.
          type: str
          returned: success
        quant:
          description: Name of the quant, from the files' names.
          type: str
          returned: success
        files:
          description: The files in the order of the shards.
          type: list
          elements: dict
          returned: success
          contains:
            path:
              description: Path in the repository.
              type: str
              returned: success
            size_bytes:
              description: Size in bytes.
              type: int
              returned: success
            sha256:
              description: Sum of the file, V(null) where neither the hub nor a seal tells it.
              type: str
              returned: success
            url:
              description: Address of the file.
              type: str
              returned: success
            header_bytes:
              description: Length of the GGUF header in bytes.
              type: int
              returned: success
            header_sha256:
              description: Sum of the GGUF header, by which a host knows it for right before anything is laid out by it.
              type: str
              returned: success
        gguf:
          description: What the headers say, as M(gguf.fleet.gguf_info) returns it.
          type: dict
          returned: success
        merged:
          description: Size in bytes, checksum (V(null) until sealed) and tail padding in bytes of the merged file.
          type: dict
          returned: success
        seal:
          description: The checksums of the pieces of each file, and how large a piece is in bytes.
          type: dict
          returned: when sealed
asked:
  description: The names of the sources that their hubs were asked for; the locks of the others come from O(lock_file).
  type: list
  elements: str
  returned: success
problems:
  description: By name, C(problem) and C(remedy) of each source that has no lock.
  type: dict
  returned: always
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
from typing import Any, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._files import moved
from ansible_collections.gguf.fleet.plugins.module_utils._lock import lock_file, pin
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import HUBS
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem, together
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import let_see, secrets_in
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable


def wanted(sources: List[Dict[str, Any]]) -> List[pin.Wanted]:
    found = []
    for one in sources:
        source = dict(one["source"])
        token, source["urls"] = source.pop("token"), tuple(source["urls"] or ())
        found.append(pin.Wanted(one["name"], source, token, one["seal"], one["optional"], one["lock"]))
    return found


def returned(pinned: pin.Pinned, path: Optional[str]) -> Dict[str, Any]:
    diff = {
        "before_header": path,
        "after_header": path,
        "before": lock_file.shown(pinned.before),
        "after": lock_file.shown(pinned.after),
    }
    return {
        "locks": dict(pinned.locks),
        "asked": list(pinned.asked),
        "changed": pinned.changed,
        "diff": diff if pinned.changed else {},
    }


def trust(ca_file: Optional[str]) -> None:
    """The SDKs learn of certificates from their transport libraries' environment alone."""
    if ca_file:
        os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"] = ca_file


def main() -> None:
    source = {
        "hub": {"type": "str", "choices": list(HUBS), "default": "modelscope"},
        "repo": {"type": "str"},
        "revision": {"type": "str"},
        "quant": {"type": "str"},
        "pattern": {"type": "str"},
        "urls": {"type": "list", "elements": "str", "no_log": True},
        "path": {"type": "path"},
        "sha256": {"type": "dict", "default": {}},
        # Of an address only its user and password are secret; see below.
        "endpoint": {"type": "str", "no_log": True},
        "token": {"type": "str", "no_log": True},
    }
    module = AnsibleModule(
        argument_spec={
            "sources": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "source": {
                        "type": "dict",
                        "required": True,
                        "options": source,
                        "mutually_exclusive": [("quant", "pattern")],
                    },
                    "seal": {"type": "dict"},
                    "lock": {"type": "dict"},
                    "optional": {"type": "bool", "default": False},
                },
            },
            "lock_file": {"type": "path"},
            "update": {"type": "bool", "default": False},
            "ca_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    addresses = [[one["source"]["endpoint"], one["source"]["urls"]] for one in params["sources"]]
    let_see(module.no_log_values, addresses, secrets_in(addresses))
    trust(params["ca_file"])
    asked_for, path = wanted(params["sources"]), params["lock_file"]
    problems: Dict[str, Dict[str, str]] = {}
    renamed = ""
    try:
        if path and not module.check_mode:
            renamed = moved.move(path)
        pinned = pin.plan(asked_for, path, update=params["update"], ca_file=params["ca_file"])
        for name, problem in pinned.problems.items():
            told = failure(problem)
            problems[name] = {"problem": told["problem"], "remedy": told["remedy"]}
        refused = pin.refusals(asked_for, pinned)
        if refused:
            raise together(refused)
        if pinned.changed and not module.check_mode:
            pin.save(pinned, path)
    except Problem as error:
        module.fail_json(problems=problems, **failure(error))
    except OSError as error:
        module.fail_json(problems=problems, **failure(file_problem(error, path or "", "Make its folder writable.")))
    if renamed:
        module.warn(printable(renamed))
    told = returned(pinned, path)
    module.exit_json(**{**told, "problems": problems, "changed": told["changed"] or bool(renamed)})


if __name__ == "__main__":
    main()
