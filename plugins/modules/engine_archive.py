#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_archive
short_description: Make release archives ready on the controller for hosts that cannot fetch or unpack them
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Run it on the controller, with C(delegate_to). It returns which files to copy to the host, and the
    O(gguf.fleet.engine_release#module:archives) that M(gguf.fleet.engine_release) installs there.
  - A file of the controller is checked against its sha256. With O(repack=true) every C(.tar.zst) is fetched or
    read, checked, and kept in a cache as C(.tar.gz) with the same content, for hosts without zstd (Ollama since
    0.14.0 is released as C(.tar.zst) only).
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  archives:
    description: The archives.
    type: list
    elements: dict
    required: true
    suboptions:
      url:
        description: Where the archive is fetched from. Without O(repack) that is left to the host.
        type: str
      src:
        description: The archive as a file of the controller, instead of a URL.
        type: path
      sha256:
        description: The archive's sha256; nothing is repacked before it is right.
        type: str
  repack:
    description: Turn C(.tar.zst) into C(.tar.gz).
    type: bool
    default: false
  cache:
    description: Directory of the controller in which repacked archives are kept, under their sums.
    type: path
    required: true
  dest:
    description: Directory of the host that the files are going to be copied to.
    type: path
    required: true
  max_bytes:
    description: The most bytes that are fetched for one archive.
    type: int
    default: 34359738368
"""

EXAMPLES = r"""
- name: Repack the archive on the controller
  gguf.fleet.engine_archive:
    archives:
      - url: https://github.com/ollama/ollama/releases/download/v0.33.2/ollama-linux-amd64.tar.zst
        sha256: "{{ ollama_archive_sha256 }}"
    repack: true
    cache: ~/.cache/gguf-fleet/releases
    dest: /var/tmp
  delegate_to: localhost
"""

RETURN = r"""
files:
  description: What to copy to the host.
  returned: always
  type: list
  elements: dict
  contains:
    src:
      description: The file on the controller.
      type: str
    dest:
      description: Where it goes on the host.
      type: str
archives:
  description: The archives as M(gguf.fleet.engine_release) takes them on the host.
  returned: always
  type: list
  elements: dict
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
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._install import archive, fetch
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem


def repack(given: dict[str, t.Any], dest: str, max_bytes: int) -> None:
    os.makedirs(os.path.dirname(dest), 0o755, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=os.path.dirname(dest)) as scratch:
        path = given["src"]
        if path is None:
            path = os.path.join(scratch, "archive")
            fetch.fetch(given["url"], path, given["sha256"], max_bytes)
        else:
            fetch.check_sum(fetch.sha256_of(path), given["sha256"], path)
        if archive.compression(path) != "zstd":
            name = given["src"] or given["url"]
            raise InstallProblem(f"{name} is no .tar.zst, so there is nothing to repack.", "Install it as it is.")
        archive.repack_as_gzip(path, dest)


def make_ready(module: AnsibleModule, given: dict[str, t.Any]) -> tuple[dict[str, str], dict[str, str], bool]:
    """One archive: the file to copy (may be none), the archive for the host, and whether the cache changed."""
    p = module.params
    wanted = (given["sha256"] or "").lower()
    given = {**given, "sha256": wanted or None}
    if given["src"] is not None and not os.path.isfile(given["src"]):
        raise InstallProblem(f"{given['src']} is not a file of the controller.", "Check the path of the archive.")
    # A file that somebody repacked already is copied as it is.
    if not p["repack"] or (given["src"] is not None and archive.compression(given["src"]) != "zstd"):
        if given["src"] is None:
            return {}, given, False
        fetch.check_sum(fetch.sha256_of(given["src"]), wanted or None, given["src"])
        dest = os.path.join(p["dest"], os.path.basename(given["src"]))
        return {"src": given["src"], "dest": dest}, {"src": dest, "sha256": wanted}, False
    if not wanted:
        raise InstallProblem(
            f"{given['src'] or given['url']} has no known sha256, and only checked archives are repacked.",
            "Give its sum, or install the package zstd on the host.",
        )
    name = f"{wanted}.tar.gz"
    path, dest = os.path.join(p["cache"], name), os.path.join(p["dest"], name)
    missing = not os.path.exists(path)
    if missing and not module.check_mode:
        repack(given, path, p["max_bytes"])
    ready = {"src": dest, "sha256": fetch.sha256_of(path) if os.path.exists(path) else "", "origin_sha256": wanted}
    return {"src": path, "dest": dest}, ready, missing


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "archives": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"url": {"type": "str"}, "src": {"type": "path"}, "sha256": {"type": "str"}},
                "required_one_of": [("url", "src")],
                "mutually_exclusive": [("url", "src")],
            },
            "repack": {"type": "bool", "default": False},
            "cache": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "max_bytes": {"type": "int", "default": 34359738368},
        },
        supports_check_mode=True,
    )
    try:
        ready = [make_ready(module, given) for given in module.params["archives"]]
    except Problem as error:
        module.fail_json(**failure(error))
    except OSError as error:
        remedy = "Check the path and the disk, and that the user who runs Ansible may write there."
        module.fail_json(**failure(file_problem(error, module.params["cache"], remedy)))
    made = [file["src"] for file, _archive, changed in ready if changed]
    module.exit_json(
        changed=bool(made),
        files=[file for file, _archive, _changed in ready if file],
        archives=[archive for _file, archive, _changed in ready],
        diff={"before": "", "after": "".join(f"{path}\n" for path in made)},
    )


if __name__ == "__main__":
    main()
