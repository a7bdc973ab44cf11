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
    dest: /var/lib/gguf-fleet/archives
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
  description:
    - The archives as M(gguf.fleet.engine_release) takes them on the host; an empty dictionary for one that the host
      fetches by itself.
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

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import open_regular
from ansible_collections.gguf.fleet.plugins.module_utils._http.shown import secrets_of, shown
from ansible_collections.gguf.fleet.plugins.module_utils._install import archive, fetch
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem


def open_archive(path: str) -> t.IO[bytes]:
    """A file of the controller, which may be a link of the user's own."""
    try:
        return os.fdopen(open_regular(os.path.realpath(path)), "rb")
    except FileNotFoundError:
        raise InstallProblem(f"{path} is not a file of the controller.", "Check the path of the archive.") from None


def sum_of(path: str) -> str:
    with open_archive(path) as file:
        return fetch.sha256_of(file)


def repack(file: t.IO[bytes], name: str, dest: str) -> None:
    if archive.compression(file, name) != "zstd":
        raise InstallProblem(f"{name} is no .tar.zst, so there is nothing to repack.", "Install it as it is.")
    archive.repack_as_gzip(file, name, dest)


def bring(url: str, sha256: str, dest: str, max_bytes: int) -> None:
    """Fetch and repack; what is fetched has no name, so that nobody else can open it."""
    with tempfile.TemporaryFile(dir=os.path.dirname(dest)) as file:
        fetch.fetch(url, file, sha256, max_bytes)
        repack(file, shown(url), dest)


def make_ready(module: AnsibleModule, given: dict[str, t.Any]) -> tuple[dict[str, str], dict[str, str], bool]:
    """The file to copy (may be none), the archive for the host (may be none), and whether the cache changed."""
    sha256 = (given["sha256"] or "").lower()
    if given["src"] is None:
        if not module.params["repack"]:
            return {}, {}, False
        return from_cache(module, sha256, shown(given["url"]), lambda *to: bring(given["url"], sha256, *to))
    with open_archive(given["src"]) as file:
        # A file that somebody repacked already is copied as it is.
        if module.params["repack"] and archive.compression(file, given["src"]) == "zstd":

            def from_file(path: str, _max_bytes: int) -> None:
                fetch.check_sum(fetch.sha256_of(file), sha256, given["src"])
                repack(file, given["src"], path)

            return from_cache(module, sha256, given["src"], from_file)
        fetch.check_sum(fetch.sha256_of(file), sha256 or None, given["src"])
    dest = os.path.join(module.params["dest"], os.path.basename(given["src"]))
    return {"src": given["src"], "dest": dest}, {"src": dest, "sha256": sha256}, False


def from_cache(
    module: AnsibleModule, sha256: str, name: str, make: t.Callable[[str, int], None]
) -> tuple[dict[str, str], dict[str, str], bool]:
    if not sha256:
        raise InstallProblem(
            f"{name} has no known sha256, and only checked archives are repacked.",
            "Give its sum, or install the package zstd on the host.",
        )
    kept = f"{sha256}.tar.gz"
    path, dest = os.path.join(module.params["cache"], kept), os.path.join(module.params["dest"], kept)
    missing = not os.path.exists(path)
    if missing and not module.check_mode:
        Directory.open(os.path.realpath(module.params["cache"]), make=True).close()
        make(path, module.params["max_bytes"])
    ready = {"src": dest, "sha256": sum_of(path) if os.path.exists(path) else "", "origin_sha256": sha256}
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
        # A URL may hold a password; nothing of it goes to the log of the controller.
        no_log=True,
    )
    for given in module.params["archives"]:
        module.no_log_values.update(secrets_of(given["url"] or ""))
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
