#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_files_check
short_description: Compare finished files and Ollama's blobs with their checksums
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Reads every file that M(gguf.fleet.gguf_download) fetched, and every blob of Ollama's store, each once and several
    at a time. What a disk changed since it was written shows in no size and in no time of modification.
  - A file is compared with the checksum in its lock, or, where the lock has none for it, with the one that was noted
    when it was fetched; a blob with the one in its name.
  - Fails with each file that is wrong or missing. A wrong one is no longer taken for verified, so that the next run
    fetches it again.
  - The playbook's output shows how far it is (phase C(verify)); a hidden file beside the first file
    (C(.<name>.verify-status)) tells the same as JSON to other programs.
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
        description: The name of the lock.
        type: str
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
        description: Not needed here; what M(gguf.fleet.gguf_download) was given may have one.
        type: str
      controller:
        description: Not needed here; what M(gguf.fleet.gguf_download) was given may have one.
        type: str
        version_added: 0.2.0
  models_dir:
    description: The models directory of the host's Ollama. Without it no blobs are read.
    type: path
seealso:
  - module: gguf.fleet.gguf_download
  - module: gguf.fleet.ollama_model
"""

EXAMPLES = r"""
- name: See whether the disk still holds what was fetched
  gguf.fleet.model_files_check:
    downloads:
      - name: deepseek-r1
        lock: "{{ resolved.locks['deepseek-r1'] }}"
        dest: /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf
    models_dir: /var/lib/ollama/models
"""

RETURN = r"""
files:
  description: Every file that was looked at, by its path.
  type: list
  elements: dict
  returned: always
  contains:
    path:
      description: The file.
      type: str
      returned: success
    state:
      description: V(right), V(wrong), V(missing), or V(unknown) where its checksum is not known.
      type: str
      returned: success
    size_bytes:
      description: Its size.
      type: int
      returned: success
    expected:
      description: The sha256 that it should have.
      type: str
      returned: success
    found:
      description: The sha256 that it has.
      type: str
      returned: success
bytes_read:
  description: How many bytes were read and compared.
  type: int
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

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import options, proof
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.lease import this_process
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.request import Request
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Reporter, StatusFile


def refusal(files: list[proof.Proof]) -> Problem | None:
    wrong = [
        f"{one.path} is not what was fetched: its sha256 is {one.found}, it should be {one.expected}."
        for one in files
        if one.state == proof.WRONG
    ]
    missing = [f"{one.path} is missing." for one in files if one.state == proof.MISSING]
    if not wrong and not missing:
        return None
    return Problem(
        "\n".join([*wrong, *missing]),
        "Run site.yml, which fetches it again, and look at that disk: its kernel log, and smartctl.",
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "downloads": options.downloads(),
            "models_dir": {"type": "path"},
        },
        supports_check_mode=True,
    )
    given = module.params["downloads"]
    requests = [Request(one["lock"], one["dest"], one["layout"], name=one["name"] or "") for one in given]
    first = given[0]["dest"] if given else "/run/gguf-fleet"
    reporter = Reporter(StatusFile(proof.status_path(first), asdict(this_process())))
    try:
        files = proof.prove_files(
            requests, module.params["models_dir"], Ledger(), tell=reporter, note=not module.check_mode
        )
    except Problem as error:
        module.fail_json(files=[], bytes_read=0, **failure(error))
    finally:
        reporter.close()
    known = [one for one in files if one.state in (proof.RIGHT, proof.WRONG)]
    result = {"files": [asdict(one) for one in files], "bytes_read": sum(one.size_bytes for one in known)}
    problem = refusal(files)
    if problem is not None:
        module.fail_json(**result, **failure(problem))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
