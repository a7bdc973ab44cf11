#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gguf_merge
short_description: Merge the shards of a split GGUF model into one file
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Makes one GGUF file of the shards of a split model, byte for byte the file that C(llama-gguf-split --merge) makes.
  - Refuses what that tool would corrupt without a word, for example truncated, exchanged, renamed or foreign shards.
    The shards are never changed.
  - The file appears under its name only when it is whole and synced to disk. A run that was interrupted leaves a
    hidden file beside O(dest), and the next run goes on where it stopped, with bytes that prove right.
  - What was merged is recorded in the host's ledger (C(/var/lib/gguf-fleet/ledger.json)), so that a second run is done
    at once.
  - llama.cpp serves shards as they are. Only engines that want one file need this.
  - The playbook's output shows how far it is, with the rate, the time left and the phase (C(merge) writes bytes,
    C(verify) proves bytes that are there). A hidden file beside O(dest) (C(.<name>.merge-status)) tells the same as
    JSON, with the process that works on it.
  - The merge runs on in the background when the connection to the host is lost or the playbook is interrupted. Run the
    play again to wait for it. To end it, kill the process that the status file names; the next run goes on from there.
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  src:
    description:
      - The first shard, under the name that it was published with (C(name-00001-of-00005.gguf)).
        The others lie beside it.
    type: path
    required: true
  dest:
    description:
      - The merged file. Its directory must exist.
      - A file that is there already and is not this merge is never overwritten.
    type: path
    required: true
  state:
    description:
      - V(present) merges, V(absent) removes the merged file and what an interrupted merge left. The shards stay.
    type: str
    choices: [present, absent]
    default: present
  consume:
    description:
      - Remove each shard as soon as its bytes are verified, written and synced in the merged file, so that the disk
        needs room for the model and one shard, not for two models.
      - Needs the sha256 of every shard, from O(lock), O(shard_checksums) or the ledger. A shard that has other hard
        links, is a symbolic link, or is open in another process stops the run before anything is written.
    type: bool
    default: false
  checksum:
    description:
      - The sha256 that the merged file must have, with or without V(sha256:) before it.
    type: str
  get_checksum:
    description:
      - Compute the sha256 of the merged file from the same bytes as they are copied.
    type: bool
    default: true
  lock:
    description:
      - The lock of the model, as M(gguf.fleet.gguf_resolve) returns it. The shards must have its checksums.
    type: dict
  shard_checksums:
    description:
      - The sha256 of shards, by file name, where there is no O(lock).
    type: dict
  verify:
    description:
      - How a merged file that is recorded in the ledger is checked. V(ledger) compares device, inode and size with the
        record, at no cost. V(full) reads the whole file and compares its sha256.
    type: str
    choices: [ledger, full]
    default: ledger
notes:
  - Set the variable C(models_progress) to V(false) for no progress in the output.
  - With the task's own C(async), or with a O(dest) that is not absolute, nothing is shown.
seealso:
  - module: gguf.fleet.gguf_download
    description: Downloads shards straight into one merged file.
  - module: gguf.fleet.gguf_info
"""

EXAMPLES = r"""
- name: Merge the shards of R1 for Ollama
  gguf.fleet.gguf_merge:
    src: /srv/models/DeepSeek-R1-UD-IQ1_M/DeepSeek-R1-UD-IQ1_M-00001-of-00004.gguf
    dest: /srv/gguf-fleet/models/DeepSeek-R1-UD-IQ1_M.gguf

- name: The same on a disk that holds the model only once
  gguf.fleet.gguf_merge:
    src: /srv/models/DeepSeek-R1-UD-IQ1_M/DeepSeek-R1-UD-IQ1_M-00001-of-00004.gguf
    dest: /srv/gguf-fleet/models/DeepSeek-R1-UD-IQ1_M.gguf
    lock: "{{ lookup('ansible.builtin.file', 'models.lock.txt') | from_yaml }}"
    consume: true

- name: Read the whole file again and compare
  gguf.fleet.gguf_merge:
    src: /srv/models/DeepSeek-R1-UD-IQ1_M/DeepSeek-R1-UD-IQ1_M-00001-of-00004.gguf
    dest: /srv/gguf-fleet/models/DeepSeek-R1-UD-IQ1_M.gguf
    verify: full
"""

RETURN = r"""
path:
  description: The merged file.
  returned: always
  type: str
  sample: /srv/gguf-fleet/models/DeepSeek-R1-UD-IQ1_M.gguf
size_bytes:
  description: Its size.
  returned: when O(state=present)
  type: int
  sample: 169380000000
sha256:
  description: Its sha256, or null when it was not computed. Not known in check mode before the first merge.
  returned: when O(state=present)
  type: str
  sample: 2c7349e55c33f7982bfc974ab310c9a6c7de876027d7cbe0dd50a945e7ac7269
shards:
  description: How many shards were merged.
  returned: when O(state=present)
  type: int
  sample: 4
tensors:
  description: How many tensors the model has.
  returned: when O(state=present)
  type: int
  sample: 1025
tail_padding_bytes:
  description:
    - Zeros after the last tensor, which llama.cpp's merge writes, too. Ollama 0.5.5 to 0.7.0 refuses a file that has
      any when it is imported through its API.
    - Null for a file that was recorded by another way than a merge.
  returned: when O(state=present)
  type: int
  sample: 0
actions:
  description:
    - What was done, or would be done in check mode, in this order, with the bytes that it moves or frees.
    - B(merge) writes the file. B(compare) reads a file that is there and not recorded, and the shards. B(hash) reads
      the recorded file. B(record) adds a file to the ledger that an interrupted run finished. B(remove) removes a file.
  returned: always
  type: list
  elements: str
  sample: ["merge /srv/models/r1.gguf (226,000,000,000 bytes)"]
disk_needed_bytes:
  description: Disk space that the merge takes beyond what is used before it.
  returned: when O(state=present)
  type: int
disk_free_bytes:
  description: Free space on the file system of O(dest) before the merge; 0 when nothing is to be merged.
  returned: when O(state=present)
  type: int
bytes_copied:
  description: Bytes that this run wrote.
  returned: when O(state=present) and not in check mode
  type: int
resumed_bytes:
  description: Bytes of an interrupted run that proved right and were not written again.
  returned: when O(state=present) and not in check mode
  type: int
removed:
  description: Shards that were consumed.
  returned: when O(state=present) and not in check mode
  type: list
  elements: str
kept:
  description: Shards that were to be consumed and came into use during the merge, with the reason.
  returned: when O(state=present) and not in check mode
  type: list
  elements: dict
  contains:
    path:
      description: The shard.
      type: str
    reason:
      description: Why it is still there.
      type: str
seconds:
  description: How long it took.
  returned: when O(state=present) and not in check mode
  type: float
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
from dataclasses import asdict
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._action import sentences
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock
from ansible_collections.gguf.fleet.plugins.module_utils._merge.merge import MergeResult, apply_merge
from ansible_collections.gguf.fleet.plugins.module_utils._merge.plan import MergePlan, MergeRequest, plan_merge
from ansible_collections.gguf.fleet.plugins.module_utils._merge.removal import apply_removal, plan_removal
from ansible_collections.gguf.fleet.plugins.module_utils._merge.writing import wait_for_other_run
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.lease import this_process
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Reporter, StatusFile


def plain_digest(checksum: str, what: str) -> str:
    digest = checksum.strip().lower()
    digest = digest[len("sha256:") :] if digest.startswith("sha256:") else digest
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise GgufError(f"{what} is not a sha256: '{checksum}'.", "Give 64 hexadecimal digits.")
    return digest


def shard_digests(params: dict[str, Any]) -> dict[str, str]:
    digests = {
        os.path.basename(file["path"]): file["sha256"]
        for file in (check_lock(params["lock"])["files"] if params["lock"] else [])
        if file.get("sha256")
    }
    for name, checksum in (params["shard_checksums"] or {}).items():
        digests[name] = plain_digest(str(checksum), f"shard_checksums.{name}")
    return digests


def request(params: dict[str, Any]) -> MergeRequest:
    checksum: Optional[str] = params["checksum"]
    return MergeRequest(
        src=params["src"],
        dest=params["dest"],
        consume=params["consume"],
        get_sha256=params["get_checksum"] or checksum is not None,
        sha256=plain_digest(checksum, "checksum") if checksum is not None else None,
        shard_sha256=shard_digests(params),
        verify_full=params["verify"] == "full",
    )


def present(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    ledger = Ledger()
    wanted = request(params)
    # its shards may go while it runs, so nothing can be planned before it ended
    waited = not check_mode and wait_for_other_run(wanted.temporary)
    plan = plan_merge(wanted, ledger)
    outcome: dict[str, Any] = {
        "changed": plan.changed or waited,
        "path": params["dest"],
        "actions": sentences(plan.actions),
        "disk_needed_bytes": plan.disk_needed_bytes,
        "disk_free_bytes": plan.disk_free_bytes,
        "diff": difference(plan),
        **plan.facts,
    }
    if not check_mode:
        result = watched_merge(plan, ledger)
        outcome.update(
            size_bytes=result.size_bytes,
            sha256=result.sha256,
            shards=result.shards,
            tensors=result.tensors,
            tail_padding_bytes=result.tail_padding_bytes,
            bytes_copied=result.bytes_copied,
            resumed_bytes=result.resumed_bytes,
            removed=list(result.removed),
            kept=[{"path": path, "reason": reason} for path, reason in result.kept],
            seconds=round(result.seconds, 3),
        )
    return outcome


def watched_merge(plan: MergePlan, ledger: Ledger) -> MergeResult:
    reporter = Reporter(StatusFile(plan.request.status, asdict(this_process())))
    try:
        return apply_merge(plan, ledger, tell=reporter)
    finally:
        reporter.close()


def absent(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    ledger = Ledger()
    removal = plan_removal(request(params), ledger)
    if not check_mode:
        apply_removal(removal, ledger)
    return {
        "changed": removal.changed,
        "path": params["dest"],
        "actions": sentences(removal.actions),
        "diff": {"before": removal.listing, "after": ""},
    }


def difference(plan: MergePlan) -> dict[str, str]:
    return {"before": "", "after": "".join(f"{line}\n" for line in sentences(plan.actions)) if plan.changed else ""}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "consume": {"type": "bool", "default": False},
            "checksum": {"type": "str"},
            "get_checksum": {"type": "bool", "default": True},
            "lock": {"type": "dict"},
            "shard_checksums": {"type": "dict"},
            "verify": {"type": "str", "choices": ["ledger", "full"], "default": "ledger"},
        },
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
