#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gguf_seal
short_description: Compute from verified files the checksums that complete locks
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Reads the files that M(gguf.fleet.gguf_download) fetched and returns the checksums of their pieces, of each file,
    and of the merged file. Give them to O(gguf.fleet.gguf_resolve#module:sources[].seal), once, and commit the
    lock file.
  - Later hosts then verify pieces side by side, fetch only a bad piece again, and need not hash the merged file.
  - A lock that is sealed already is left out, without a byte read.
  - Refuses a copy whose checksums contradict the lock. The others are still read; the failure names each
    that failed.
  - With C(layout=merged) a few MiB, the shards' headers, are read from the addresses in the lock.
  - Reads every byte once or twice. The playbook's output shows how far it is (phase C(seal)); a hidden file beside
    the files (C(.<name>.seal-status)) tells the same as JSON to other programs. Set the variable C(models_progress) to
    V(false) for none of it in the output.
extends_documentation_fragment:
  - gguf.fleet.attributes.info
options:
  downloads:
    description: The files, in the words in which M(gguf.fleet.gguf_download) was given them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the lock, for RV(seals). Of two with one name the first is read.
        type: str
        required: true
      lock:
        description: The lock, as M(gguf.fleet.gguf_resolve) returns it.
        type: dict
        required: true
      dest:
        description: The merged file, or the directory of the shards.
        type: path
        required: true
      layout:
        description: Whether one merged file is there or the shards.
        type: str
        choices: [merged, shards]
        default: merged
      token:
        description: The hub's access token. It goes to the origin of the lock's endpoint only.
        type: str
      controller:
        description: Not needed here; what M(gguf.fleet.gguf_download) was given may have one.
        type: str
        version_added: 0.2.0
  ca_file:
    description: A file of PEM certificates on the host to trust instead of the system's.
    type: path
seealso:
  - module: gguf.fleet.gguf_resolve
  - module: gguf.fleet.gguf_download
"""

EXAMPLES = r"""
- name: Sum the pieces of the first host's verified file
  gguf.fleet.gguf_seal:
    downloads:
      - name: deepseek-r1
        lock: "{{ resolved.locks['deepseek-r1'] }}"
        dest: /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf
  run_once: true
  register: sealed

- name: Complete the lock with them
  gguf.fleet.gguf_resolve:
    sources:
      - name: deepseek-r1
        source:
          repo: unsloth/DeepSeek-R1-GGUF
          quant: UD-Q2_K_XL
        seal: "{{ sealed.seals['deepseek-r1'] | default(omit) }}"
    lock_file: "{{ inventory_dir }}/models.lock.txt"
  delegate_to: localhost
  run_once: true
  diff: true
"""

RETURN = r"""
seals:
  description: The checksums by name, each for O(gguf.fleet.gguf_resolve#module:sources[].seal).
  type: dict
  returned: always
  contains:
    NAME:
      description: The checksums of one lock's files.
      type: dict
      returned: success
      contains:
        piece_bytes:
          description: Length of a piece in bytes; the last piece of a file may be shorter.
          type: int
          returned: success
        files:
          description: The sha256 of each file, by its path in the repository.
          type: dict
          returned: success
        pieces:
          description: The sha256 of each piece in order, by the file's path in the repository.
          type: dict
          returned: success
        merged_sha256:
          description: The sha256 of the merged file, V(null) for O(downloads[].layout=shards) of several shards.
          type: str
          returned: success
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""

from dataclasses import asdict
from typing import Any, Dict, List, Mapping, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._http.client import HttpClient
from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import hub_secrets
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock
from ansible_collections.gguf.fleet.plugins.module_utils._lock.measure import measure, status_path
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, together
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import options
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.lease import this_process
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Reporter, StatusFile


def seal(one: Mapping[str, Any], ca_file: Optional[str]) -> Optional[Dict[str, Any]]:
    """The seal of one lock; None where it has one."""
    lock = check_lock(one["lock"])
    if lock.get("seal") is not None:
        return None
    client = HttpClient(secrets=hub_secrets(lock, one["token"]), ca_file=ca_file)
    reporter = Reporter(StatusFile(status_path(one["dest"]), asdict(this_process())))
    try:
        return measure(lock, one["dest"], one["layout"], client, tell=reporter)
    finally:
        reporter.close()
        client.close()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "downloads": options.downloads(named=True),
            "ca_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    found: Dict[str, Optional[Dict[str, Any]]] = {}
    problems: List[Problem] = []
    for one in module.params["downloads"]:
        try:
            if one["name"] not in found:
                found[one["name"]] = seal(one, module.params["ca_file"])
        except Problem as error:
            problems.append(error)
    seals = {name: made for name, made in found.items() if made is not None}
    if problems:
        module.fail_json(seals=seals, **failure(together(problems)))
    module.exit_json(changed=False, seals=seals)


if __name__ == "__main__":
    main()
