#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_release
short_description: Install versions of an inference engine side by side
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
      - Required for O(state=present); with O(state=absent) only this version is removed, without it all are.
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
      - Needed for a version that is not on the host. For one that is, only the sums are compared, when all are given.
      - A version that was adopted came from an unknown archive; it is fetched anew, unless this list is empty.
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
  returned: when O(state=present)
  type: str
  sample: /opt/ollama/0.5.7
current:
  description: The version that is current afterwards (in check mode, that would be).
  returned: always
  type: str
previous:
  description: The version that was current before, if there was another one.
  returned: always
  type: str
sha256:
  description: The sums of the archives, the add-ons' after the release's.
  returned: when O(state=present)
  type: list
  elements: str
bytes_fetched:
  description: Bytes that came over the network.
  returned: when O(state=present)
  type: int
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
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._http.shown import secrets_of, shown
from ansible_collections.gguf.fleet.plugins.module_utils._install import (
    assets,
    engines,
    install,
    lock,
    record,
    releases,
)
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

# As long as a slow line may need for an archive of two gigabytes.
TURN_SECONDS = 3600
SUM = re.compile(r"[0-9a-f]{64}\Z")


def source_of(given: dict[str, t.Any], allow_unverified: bool, planning: bool) -> install.Source:
    # An archive that is going to be repacked has no sum of its own yet while one only plans.
    wanted = (given["sha256"] or (given["origin_sha256"] if planning else None) or "").lower() or None
    name = given.get("src") or shown(given.get("url") or "")
    if wanted is not None and not SUM.match(wanted):
        raise InstallProblem(f"{wanted!r} is not a sha256.", "Give 64 hexadecimal digits.")
    if wanted is None and not allow_unverified:
        raise InstallProblem(
            f"no sha256 is known for {name}.",
            "Give the sum of the official release, or say that unverified archives are allowed.",
        )
    return install.Source(url=given["url"], path=given["src"], sha256=wanted)


def placed(given: dict[str, t.Any], source_url: str | None, version: str) -> dict[str, t.Any]:
    """The archive with its URL or path, where only its name is given."""
    if not given["asset"]:
        return given
    if not source_url:
        raise InstallProblem(f"nothing says where {given['asset']} is.", "Give source_url.")
    return {**given, **assets.place(source_url, version, given["asset"])}


def present(module: AnsibleModule, engine: engines.Engine) -> dict[str, t.Any]:
    p = module.params
    root, version, links = p["root"], releases.check_version(p["version"]), p["links"]
    archives = [placed(given, p["source_url"], version) for given in p["archives"]]
    origins = tuple((a.get("origin_sha256") or a.get("sha256") or "").lower() for a in archives)
    known = origins if archives and all(origins) else ()
    before = record.read(engine, root)
    adopted = p["adopt"] and not before.current
    if adopted and not module.check_mode:
        version_before = install.adopt(engine, root, p["adopt"], record.writer(engine, root, adopted=True))
        releases.switch(root, version_before, links)
        before = record.read(engine, root)
    actions = releases.plan_present(
        before,
        releases.Wanted(version, bool(archives), known, p["activate"], p["keep"]),
        running=releases.running_versions(root),
        links_right=not releases.wrong_links(root, links),
        newest_first=releases.newest_first(root, before),
    )
    if adopted:
        actions.insert(
            0, releases.Action("adopt", before.current or p["adopt"], "it was installed before, by install.sh")
        )
    must_fetch = any(action.verb == "fetch" for action in actions)
    if must_fetch and not archives:
        have = ", ".join(release.version for release in before.releases) or "none"
        raise InstallProblem(
            f"{engine.title} {version} is not in {root} (there: {have}), and no archive of it is given.",
            "Name a source, or a version that is there.",
        )
    sources = [source_of(a, p["allow_unverified"], module.check_mode) for a in archives] if must_fetch else []
    current = version if p["activate"] else before.current
    there = before.get(version)
    result: dict[str, t.Any] = {
        "changed": bool(actions),
        "actions": [str(action) for action in actions],
        "version": version,
        "path": releases.directory(root, version),
        "current": current,
        "previous": before.current if before.current != current else before.previous,
        "sha256": list(there.sums) if there is not None and not must_fetch else list(known),
        "bytes_fetched": 0,
    }
    gone = {action.version for action in actions if action.verb == "remove"}
    after = {release.version for release in before.releases} - gone | {version}
    result["diff"] = diff(before, current, sorted(after))
    if module.check_mode:
        return result
    for action in actions:
        if action.verb == "fetch":
            note = record.writer(engine, root, known)
            unpacked = install.install(engine, root, version, sources, p["max_bytes"], record=note)
            result.update(sha256=list(known or unpacked.sums), bytes_fetched=unpacked.bytes_fetched)
        elif action.verb in ("switch", "link"):
            releases.switch(root, version, links)
        elif action.verb == "remove":
            releases.remove(root, action.version)
            record.forget(root, action.version)
    return result


def absent(module: AnsibleModule, engine: engines.Engine) -> dict[str, t.Any]:
    root, version, links = module.params["root"], module.params["version"], module.params["links"]
    before = record.read(engine, root)
    actions = releases.plan_absent(before, version)
    gone = {action.version for action in actions}
    left = [release.version for release in before.releases if release.version not in gone]
    # Only links that are ours go: the command may belong to another installation by now.
    ours = set(links) - set(releases.wrong_links(root, links))
    stays = any(release.ours for release in before.releases if release.version not in gone)
    last = before.current in (None, *gone) and not stays
    dead = [path for path in links if last and path in ours]
    # What install.sh had put there is put there again; its libraries have stayed where they were.
    given_back = record.adopted(engine, root)
    returned = [path for path in dead if given_back in gone and links[path] == f"bin/{engine.program}"]
    current = before.current if before.current not in gone else None
    result: dict[str, t.Any] = {
        "changed": bool(actions or dead),
        "actions": [
            *(str(action) for action in actions),
            *(f"put back {path}: {given_back} was there before" for path in returned),
            *(f"unlink {path}: no version is left" for path in dead if path not in returned),
        ],
        "current": current,
        "previous": before.previous if before.previous not in gone else None,
        "diff": diff(before, current, left),
    }
    if version:
        result["version"] = version
    if module.check_mode:
        return result
    running = sorted(gone & set(releases.running_versions(root)))
    if running:
        raise InstallProblem(
            f"{engine.title} {', '.join(running)} is running from {root}.", "Stop the service first, then run again."
        )
    for path in returned:
        install.give_back(engine, root, str(given_back), path)
    for path in set(dead) - set(returned):
        releases.unlink_ours(root, path, links[path])
    for action in actions:
        releases.remove(root, action.version)
        record.forget(root, action.version)
    releases.drop_dead(root)
    if left:
        module.warn(printable(f"{', '.join(left)} in {root} was not made by this collection, and stays."))
    return result


def diff(before: releases.Installed, current: str | None, after: list[str]) -> dict[str, str]:
    def text(names: t.Iterable[str], now: str | None) -> str:
        return "".join(f"{name}{' (current)' if name == now else ''}\n" for name in names)

    return {
        "before_header": "versions on the host",
        "after_header": "versions on the host",
        "before": text((release.version for release in before.releases), before.current),
        "after": text(after, current),
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
            "source_url": {"type": "str"},
            "allow_unverified": {"type": "bool", "default": False},
            "max_bytes": {"type": "int", "default": 34359738368},
            "activate": {"type": "bool", "default": True},
            "links": {"type": "dict", "default": {}},
            "adopt": {"type": "path"},
            "keep": {"type": "int", "default": 2},
        },
        required_if=[("state", "present", ["version"])],
        supports_check_mode=True,
        # A URL may hold a password; nothing of it goes to the host's log.
        no_log=True,
    )
    for url in (module.params["source_url"], *(given["url"] for given in module.params["archives"])):
        module.no_log_values.update(secrets_of(url or ""))
    engine = engines.ENGINES[module.params["engine"]]
    change = present if module.params["state"] == "present" else absent
    # To plan is no change, and a root that is not there needs no turn to stay so.
    alone = module.check_mode or (change is absent and not os.path.isdir(module.params["root"]))
    try:
        with contextlib.nullcontext() if alone else lock.exclusive(module.params["root"], TURN_SECONDS):
            result = change(module, engine)
    except Problem as error:
        module.fail_json(**failure(error))
    except OSError as error:
        remedy = "Look at the disk (df, mount) and run again; nothing that serves was changed."
        module.fail_json(**failure(file_problem(error, module.params["root"], remedy)))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
