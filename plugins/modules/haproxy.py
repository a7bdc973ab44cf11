#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: haproxy
short_description: Check HAProxy's files, put them in place, and reload HAProxy
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Writes the files of a HAProxy of this collection below C(/etc/gguf-fleet), with mode 0600. They are judged by
    C(haproxy -c) in another directory first; what HAProxy refuses is not put in place.
  - A HAProxy that runs is asked on its socket below C(/run/gguf-fleet) whether it runs with these files, and reloaded
    where it does not. Requests that run end in the old process. Where it does not take the files up, those from before
    are put back, and HAProxy still runs with its old configuration.
  - The service that keeps HAProxy running is made by M(gguf.fleet.engine_service).
  - Certificates are tried by a handshake. Those that are missing, do not hold or end soon are told in RV(due).
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  name:
    description: Which HAProxy it is, that of a gateway or the door of a host with engines.
    type: str
    choices: [gateway, door]
    required: true
  state:
    description: V(absent) removes its files. Stop its service first.
    type: str
    choices: [present, absent]
    default: present
  files:
    description:
      - The content of each file by its name in the directory. C(haproxy.cfg) is the configuration, which names the
        others by their names in there (C(default-path config)).
      - The word C(@DIGEST@) in C(haproxy.cfg) becomes a digest of all files; it belongs behind C(description), by which
        a HAProxy that runs tells with which files it does.
      - Files in the directory that are not named here are removed.
    type: dict
    default: {}
  live:
    description: Names of those O(files) that are maps and that a HAProxy that runs takes up without a reload.
    type: list
    elements: str
    default: []
  certificates:
    description: The certificates that it shows.
    type: list
    elements: dict
    default: []
    suboptions:
      file:
        description: The name of the file in the directory, which holds the certificate and its private key in PEM.
        type: str
        required: true
      names:
        description: Names that it has to be for.
        type: list
        elements: str
        required: true
      usage:
        description: What it is shown as.
        type: str
        choices: [server, client]
        required: true
      content:
        description: A new certificate, in place of the one that is there.
        type: str
        default: ''
  trust:
    description: Certificates of the authorities that it trusts, in PEM. They become C(tls/ca.pem).
    type: str
    default: ''
  issuer:
    description: The certificate of the authority that has to have signed O(certificates), in PEM. Without, any may.
    type: str
    default: ''
  reaches:
    description:
      - Where it sends requests. Where the files that are there have no server for one of them, it has to take a
        connection, or the task fails before it changes anything. Check mode does not try, since what is to be reached
        may not be there yet.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: The host's name, for messages.
        type: str
        required: true
      address:
        description: Its address.
        type: str
        required: true
      port:
        description: Its port.
        type: int
        required: true
  look:
    description:
      - Where HAProxy or a certificate is missing, change nothing and say so in RV(installed) and RV(due). Otherwise
        that is an error.
    type: bool
    default: false
  prove:
    description: Wait until HAProxy runs with these files. Where it does not, the task fails.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Let a host's door have its configuration
  gguf.fleet.haproxy:
    name: door
    files:
      haproxy.cfg: "{{ door_configuration }}"
    certificates:
      - file: tls/server.pem
        names: [gpu-01.door.gguf-fleet.internal]
        usage: server
    trust: "{{ authority }}"
    issuer: "{{ authority }}"
    look: true
  register: door
"""

RETURN = r"""
actions:
  description: What was done, or would be done.
  returned: success
  type: list
  elements: str
  sample: [write haproxy.cfg, reload HAProxy]
installed:
  description: Whether the host has HAProxy.
  returned: success
  type: bool
version:
  description: Its version, the first two numbers; empty where there is none.
  returned: success
  type: str
  sample: '2.6'
running:
  description: Whether HAProxy ran with these files when the task began.
  returned: success
  type: bool
due:
  description: Certificates that are to be made.
  returned: success
  type: list
  elements: dict
  contains:
    file:
      description: The name of its file.
      type: str
    names:
      description: What it has to be for.
      type: list
      elements: str
    common_name:
      description: The first of these names, as a subject takes it.
      type: str
    alternatives:
      description: All of them as C(subject_alt_name).
      type: list
      elements: str
    usage:
      description: What it is shown as.
      type: str
    reason:
      description: Why it is due.
      type: str
days_left:
  description: How many whole days each certificate holds, by its file.
  returned: success
  type: dict
  sample: {tls/server.pem: 364}
trusted:
  description: The fingerprints (SHA-256) of the authorities that it trusts.
  returned: success
  type: list
  elements: str
signed_by:
  description: The fingerprint of O(issuer), where it signed all certificates that are in place.
  returned: success
  type: list
  elements: str
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._gateway import certificate, clients, proxy, reach
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import let_see
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable


def wanted_of(p: dict[str, t.Any]) -> proxy.Proxy:
    files = {str(name): str(content) for name, content in p["files"].items()}
    proxy.check_names([*files, *(one["file"] for one in p["certificates"])])
    return proxy.Proxy(
        name=p["name"],
        files=files,
        certificates=tuple(
            proxy.Wanted(one["file"], tuple(one["names"]), one["usage"], one["content"]) for one in p["certificates"]
        ),
        trust=p["trust"],
        issuer=p["issuer"],
        live=tuple(p["live"]),
    )


def hidden(what: str, before: str, after: str) -> tuple[str, str]:
    """In place of what nobody is to see."""
    return f"{what}\n" if before else "", f"{'another' if before else ''} {what}\n".lstrip() if after else ""


def diff(wanted: proxy.Proxy, found: proxy.State, steps: proxy.Plan, does: t.Sequence[str]) -> list[dict[str, str]]:
    secret = {one.file for one in wanted.certificates}
    parts = []
    for name in (*steps.write, *steps.remove):
        path = f"{wanted.directory}/{name}"
        before, after = found.files.get(name, ""), steps.write.get(name, "")
        if name in secret or "PRIVATE KEY" in before:
            before, after = hidden("a certificate and its key", before, after)
        elif name == clients.KEYS:
            before, after = (clients.without_digests(text) for text in (before, after))
        parts.append({"before_header": path, "after_header": path, "before": before, "after": after})
    deeds = [action for action in does if not action.startswith(("write ", "remove "))]
    return [*parts, {"prepared": "".join(f"{deed}\n" for deed in deeds)}] if deeds else parts


def present(module: AnsibleModule) -> dict[str, t.Any]:
    p = module.params
    wanted = wanted_of(p)
    found = proxy.look(wanted)
    steps = proxy.plan(wanted, found)
    if not module.check_mode:
        known = found.files.get(proxy.CONFIGURATION, "")
        reach.refuse_unreachable(reach.new_places([reach.Place(**one) for one in p["reaches"]], known))
    complete = proxy.is_complete(wanted, found) and found.program is not None
    result: dict[str, t.Any] = {
        "installed": found.program is not None,
        "version": ".".join(map(str, found.version)),
        "running": found.running is not None and not steps.reload,
        "due": [one.as_dict() for one in found.due],
        "days_left": {
            name: int((end - time.time()) // certificate.DAY) for name, end in sorted(found.not_after.items())
        },
    }
    if not p["look"] and not module.check_mode:
        proxy.refuse_incomplete(found)
    if found.version and found.version not in proxy.TESTED and not p["look"]:
        tested = ", ".join(".".join(map(str, version)) for version in proxy.TESTED)
        module.warn(printable(f"HAProxy {result['version']} is not tested. Tested are {tested}."))
    if complete and not module.check_mode:
        result.update(trusted=proxy.trusted(wanted), signed_by=proxy.signed_by(wanted, found))
    does = steps.actions if complete or module.check_mode else []
    if module.check_mode:
        does = [*(f"make {one.file}: {one.reason}" for one in found.due), *does]
    if complete and steps.write:
        for line in proxy.check(wanted, steps, found):
            module.warn(printable(line))
    if does and not module.check_mode:
        proxy.apply(wanted, steps, found)
    if p["prove"] and not module.check_mode:
        proxy.prove(wanted, steps)
    return {**result, "changed": bool(does), "actions": does, "diff": diff(wanted, found, steps, does) if does else []}


def absent(module: AnsibleModule) -> dict[str, t.Any]:
    wanted = proxy.Proxy(module.params["name"], {})
    there = proxy.is_there(wanted)
    if there and not module.check_mode:
        proxy.remove(wanted.name)
    actions = [f"remove {wanted.directory}"] if there else []
    prepared = "".join(f"{action}\n" for action in actions)
    nothing: dict[str, t.Any] = {"installed": False, "version": "", "running": False, "due": [], "days_left": {}}
    return {**nothing, "changed": there, "actions": actions, "diff": {"prepared": prepared}}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "choices": ["gateway", "door"], "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "files": {"type": "dict", "default": {}},
            "live": {"type": "list", "elements": "str", "default": []},
            "certificates": {
                "type": "list",
                "elements": "dict",
                "default": [],
                # As a whole: in what Ansible writes to the host's log, a secret of several lines is not found.
                "no_log": True,
                "options": {
                    "file": {"type": "str", "required": True},
                    "names": {"type": "list", "elements": "str", "required": True},
                    "usage": {"type": "str", "choices": ["server", "client"], "required": True},
                    "content": {"type": "str", "default": "", "no_log": True},
                },
            },
            "trust": {"type": "str", "default": ""},
            "issuer": {"type": "str", "default": ""},
            "reaches": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "host": {"type": "str", "required": True},
                    "address": {"type": "str", "required": True},
                    "port": {"type": "int", "required": True},
                },
            },
            "look": {"type": "bool", "default": False},
            "prove": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    certificates = module.params["certificates"]
    let_see(module.no_log_values, certificates, {one["content"] for one in certificates if one["content"]})
    try:
        result = present(module) if module.params["state"] == "present" else absent(module)
    except Problem as error:
        module.fail_json(**failure(error))
    except OSError as error:
        path = f"/etc/gguf-fleet/{module.params['name']}"
        module.fail_json(**failure(file_problem(error, path, "Look at the disk (df, mount) and run again.")))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
