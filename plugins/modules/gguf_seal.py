#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gguf_seal
short_description: Compute from verified files the sums that complete a lock
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Reads the files that M(gguf.fleet.gguf_download) fetched and returns the sums of their pieces, of each file, and of
    the merged file. Give the result to O(gguf.fleet.gguf_resolve#module:seal), once, and commit the lock file.
  - Later hosts then verify pieces side by side, fetch only a bad piece again, and need not hash the merged file.
  - Refuses a copy whose sums contradict the lock.
  - With O(layout=merged) a few MiB, the shards' headers, are read from the addresses in the lock.
  - Reads every byte once or twice. The playbook's output shows how far it is (phase C(seal)); a hidden file beside
    O(dest) (C(.<name>.seal-status)) tells the same as JSON to other programs. Set the variable C(models_progress) to
    V(false) for none of it in the output.
extends_documentation_fragment:
  - gguf.fleet.attributes.info
options:
  lock:
    description: The lock, as M(gguf.fleet.gguf_resolve) returns it.
    type: dict
    required: true
  dest:
    description: What was the C(dest) of M(gguf.fleet.gguf_download), the merged file or the directory of the shards.
    type: path
    required: true
  layout:
    description: What was the C(layout) of M(gguf.fleet.gguf_download).
    type: str
    choices: [merged, shards]
    default: merged
  token:
    description: The hub's access token. It goes to the origin of the lock's endpoint only.
    type: str
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
    lock: "{{ resolved.lock }}"
    dest: /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf
  run_once: true
  register: sealed

- name: Complete the lock with them
  gguf.fleet.gguf_resolve:
    name: deepseek-r1
    repo: unsloth/DeepSeek-R1-GGUF
    quant: UD-Q2_K_XL
    lock_file: "{{ inventory_dir }}/models.lock.yml"
    seal: "{{ sealed.seal }}"
  delegate_to: localhost
  run_once: true
  diff: true
"""

RETURN = r"""
seal:
  description: The sums, for O(gguf.fleet.gguf_resolve#module:seal).
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
      description: The sha256 of the merged file, V(null) for O(layout=shards) of several shards.
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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._http.client import HttpClient
from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import hub_secrets
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock
from ansible_collections.gguf.fleet.plugins.module_utils._lock.measure import measure, status_path
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.lease import this_process
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Reporter, StatusFile


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "lock": {"type": "dict", "required": True},
            "dest": {"type": "path", "required": True},
            "layout": {"type": "str", "choices": ["merged", "shards"], "default": "merged"},
            "token": {"type": "str", "no_log": True},
            "ca_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    client = HttpClient(secrets=hub_secrets(params["lock"], params["token"]), ca_file=params["ca_file"])
    reporter = Reporter(StatusFile(status_path(params["dest"]), asdict(this_process())))
    try:
        seal = measure(check_lock(params["lock"]), params["dest"], params["layout"], client, tell=reporter)
    except Problem as error:
        module.fail_json(**failure(error))
    finally:
        reporter.close()
        client.close()
    module.exit_json(changed=False, seal=seal)


if __name__ == "__main__":
    main()
