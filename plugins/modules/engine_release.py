#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_release
short_description: Install versions of an inference engine side by side, and what its service needs
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Installs one version of Ollama or llama.cpp from a release archive into C(<root>/<version>/{bin,lib}).
  - The archive's sha256 is checked before anything is unpacked, nothing of it can land outside its directory, and the
    program, run as nobody, must answer C(--version) with the wanted version before the directory gets its name.
  - With O(activate=true) the version becomes the current one by one atomic change of the link C(<root>/current);
    C(<root>/previous) then names the version before. What runs is left alone, restarting is
    M(gguf.fleet.engine_service)'s work.
  - Older versions are removed when more than O(keep) are there, never the current, the previous or a running one.
  - Only versions that the ledger C(/var/lib/gguf-fleet/ledger.json) names are removed. When the last one goes, the
    command of an adopted installation is put back.
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  engine:
    description: Whose release it is; it decides which program the archive must hold.
    type: str
    required: true
    choices: [ollama, llama_cpp]
  version:
    description:
      - The version as the release names it, for example V(0.5.7) for Ollama or V(b4610) for llama.cpp.
      - O(state=present) needs it, O(program) or O(user); with O(state=absent) only this version is removed, without it
        all are.
    type: str
  root:
    description: Directory of the versions. It is refused when others than root can change it.
    type: path
    required: true
  state:
    description: Whether the version should be there.
    type: str
    choices: [present, absent]
    default: present
  archives:
    description:
      - The release's archive, and after it add-ons of the same release that are unpacked over it (rocm, jetpack,
        cudart).
      - Needed for a version that is not on the host. For one that is, only checksums are compared, when all are given.
      - A version that was adopted came from an unknown archive; it is fetched again, unless this list is empty.
    type: list
    elements: dict
    default: []
    suboptions:
      asset:
        description: The archive's name; O(source_url) says where it is.
        type: str
      url:
        description: Where this host fetches the archive from.
        type: str
      src:
        description: The archive as a file of this host, instead of a URL.
        type: path
      sha256:
        description: The archive's sha256, 64 hexadecimal digits.
        type: str
      origin_sha256:
        description:
          - The sha256 of the official archive when this is a repacked copy of it; it is what gets recorded and
            compared.
        type: str
  brought:
    description:
      - The result of M(gguf.fleet.engine_resolve). RV(gguf.fleet.engine_resolve#module:files) of it are copied from the
        controller to RV(gguf.fleet.engine_resolve#module:folder) for the time of the run.
    type: dict
  source_url:
    description:
      - Where archives that are given by O(archives[].asset) are, a template with C({version}) and C({asset}).
      - A C(file:) URL names a file of this host, which is opened as one and not fetched.
    type: str
  allow_unverified:
    description: Install archives without a known sha256. Whoever controls the network then controls the server.
    type: bool
    default: false
  max_bytes:
    description: The most bytes that the archives may unpack to.
    type: int
    default: 34359738368
  activate:
    description: Make the version the current one.
    type: bool
    default: true
  links:
    description: Commands in the PATH that lead to the current version, as path of the link to path below the version.
    type: dict
    default: {}
  adopt:
    description:
      - Prefix of an installation by Ollama's install.sh, for example V(/usr/local). It is taken in as a version
        before anything else, and made the current one, so that it can be gone back to. Its files under the prefix
        stay where they are until the service was restarted.
    type: path
  keep:
    description: How many versions stay on the disk, the current one included.
    type: int
    default: 2
  program:
    description:
      - Whole path of the engine's program where somebody else installs it, such as the distribution, in the place of
        O(version). It is asked for its version, as nobody, and refused when it prints none, except in check mode.
    type: path
  uses:
    description:
      - What llama.cpp is going to do on this host, V(models) (serve them), V(rpc) (RPC to or from other hosts).
      - A O(program) with known remote holes for that is refused, with the CVE; one that prints no build number counts
        as such.
    type: list
    elements: str
    choices: [models, rpc]
    default: []
    version_added: 0.2.0
  user:
    description:
      - The user that the service runs as, made where it is missing, as M(gguf.fleet.service_user) does.
      - What was there before stays as it is, and stays when the engine is removed.
    type: dict
    suboptions:
      name:
        description: Its name, and that of its group.
        type: str
        required: true
      home:
        description: Its home.
        type: path
        required: true
      comment:
        description: What it is for.
        type: str
        default: ''
      groups:
        description: Groups that it is a member of.
        type: list
        elements: str
        default: []
  store:
    description:
      - The directory of Ollama's models and its parts, made for their user, as M(gguf.fleet.ollama_store) does.
    type: dict
    suboptions:
      path:
        description: The directory.
        type: path
        required: true
      owner:
        description: Name or id of the user that writes there.
        type: str
        required: true
      group:
        description: Name or id of its group; the default is the user's own.
        type: str
"""

EXAMPLES = r"""
- name: Install Ollama 0.5.7 and make it the current version
  gguf.fleet.engine_release:
    engine: ollama
    version: 0.5.7
    root: /opt/ollama
    archives:
      - url: https://github.com/ollama/ollama/releases/download/v0.5.7/ollama-linux-amd64.tgz
        sha256: "{{ ollama_archive_sha256 }}"
    links:
      /usr/local/bin/ollama: bin/ollama

- name: Go back to the version before (nothing is fetched when it is still there)
  gguf.fleet.engine_release:
    engine: ollama
    version: 0.5.7
    root: /opt/ollama

- name: Remove all versions
  gguf.fleet.engine_release:
    engine: ollama
    root: /opt/ollama
    state: absent
"""

RETURN = r"""
version:
  description: The version that was asked for.
  returned: when O(version) is given
  type: str
  sample: 0.5.7
path:
  description: The directory of the version.
  returned: when O(state=present) and O(version) is given
  type: str
  sample: /opt/ollama/0.5.7
program_version:
  description: The version that O(program) told.
  returned: when O(program) is given, not in check mode
  type: str
  sample: "11669"
current:
  description: The version that is current afterwards (in check mode, that would be).
  returned: when O(version) is given, and with O(state=absent)
  type: str
previous:
  description: The version that was current before, if there was another one.
  returned: when O(version) is given, and with O(state=absent)
  type: str
sha256:
  description: The checksums of the archives, the add-ons' after the release's.
  returned: when O(state=present) and O(version) is given
  type: list
  elements: str
bytes_fetched:
  description: Bytes that came over the network.
  returned: when O(state=present) and O(version) is given
  type: int
stays:
  description: Versions that this collection did not make.
  returned: with O(state=absent)
  type: list
  elements: str
actions:
  description: What was done, or would be done, and why.
  returned: always
  type: list
  elements: str
  sample:
    - "fetch 0.5.7: it is not on this host"
    - "switch 0.5.7: no version is the current one"
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""

import contextlib
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._http.shown import secrets_of
from ansible_collections.gguf.fleet.plugins.module_utils._install import change, engines, installation, lock
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

# As long as a slow line may need for an archive of two gigabytes.
TURN_SECONDS = 3600


def present(p: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
    names = ("root", "version", "archives", "allow_unverified", "max_bytes", "activate", "links", "keep")
    given = {name: p[name] for name in names}
    engine, adopt, source_url = engines.ENGINES[p["engine"]], p["adopt"] or "", p["source_url"] or ""
    release = change.Wanted(engine, **given, adopt=adopt, source_url=source_url) if p["version"] else None
    wanted = installation.Wanted(engine, release, p["program"] or "", p["user"], p["store"], tuple(p["uses"]))
    return installation.present(wanted, check=check)


def absent(p: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
    engine, root, links = engines.ENGINES[p["engine"]], p["root"], p["links"]
    removal = change.plan_absent(engine, root, p["version"], links)
    if not check:
        change.apply_absent(engine, root, links, removal)
    return {
        "changed": bool(removal.told),
        "actions": removal.told,
        "current": removal.current,
        "previous": removal.previous,
        "diff": removal.diff,
        "stays": list(removal.left),
        **({"version": p["version"]} if p["version"] else {}),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "required": True, "choices": ["ollama", "llama_cpp"]},
            "version": {"type": "str"},
            "root": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "archives": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "asset": {"type": "str"},
                    "url": {"type": "str"},
                    "src": {"type": "path"},
                    "sha256": {"type": "str"},
                    "origin_sha256": {"type": "str"},
                },
                "mutually_exclusive": [("asset", "url", "src")],
                "required_one_of": [("asset", "url", "src")],
            },
            # The action that runs this module keeps it to itself.
            "brought": {"type": "dict"},
            "source_url": {"type": "str"},
            "allow_unverified": {"type": "bool", "default": False},
            "max_bytes": {"type": "int", "default": 34359738368},
            "activate": {"type": "bool", "default": True},
            "links": {"type": "dict", "default": {}},
            "adopt": {"type": "path"},
            "keep": {"type": "int", "default": 2},
            "program": {"type": "path"},
            "uses": {"type": "list", "elements": "str", "choices": ["models", "rpc"], "default": []},
            "user": {
                "type": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "home": {"type": "path", "required": True},
                    "comment": {"type": "str", "default": ""},
                    "groups": {"type": "list", "elements": "str", "default": []},
                },
            },
            "store": {
                "type": "dict",
                "options": {
                    "path": {"type": "path", "required": True},
                    "owner": {"type": "str", "required": True},
                    "group": {"type": "str"},
                },
            },
        },
        required_if=[("state", "present", ["version", "program", "user"], True)],
        mutually_exclusive=[("version", "program")],
        supports_check_mode=True,
        # A URL may hold a password; nothing of it goes to the host's log.
        no_log=True,
    )
    for url in (module.params["source_url"], *(given["url"] for given in module.params["archives"])):
        module.no_log_values.update(secrets_of(url or ""))
    p, check = module.params, module.check_mode
    work = present if p["state"] == "present" else absent
    # To plan is no change, and a root that is not there needs no turn to stay so.
    alone = check or (work is absent and not os.path.isdir(p["root"]))
    try:
        with contextlib.nullcontext() if alone else lock.exclusive(p["root"], TURN_SECONDS):
            result = work(p, check)
    except Problem as error:
        module.fail_json(**failure(error))
    except OSError as error:
        remedy = "Look at the disk (df, mount) and run again; nothing that serves was changed."
        module.fail_json(**failure(file_problem(error, p["root"], remedy)))
    if result.get("stays") and not check:
        module.warn(
            printable(f"{', '.join(result['stays'])} in {p['root']} was not made by this collection, and stays.")
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
