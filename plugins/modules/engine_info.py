#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_info
short_description: Tell what a host has of an inference engine, and what stands in its way
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - "One look at a host before anything is changed: architecture, service manager, installed versions, the running
    service, who holds the port, GPUs, and an installation by Ollama's install.sh that can be adopted."
extends_documentation_fragment:
  - gguf.fleet.attributes.info
options:
  engine:
    description: The engine that is looked for.
    type: str
    required: true
    choices: [ollama, llama_cpp]
  root:
    description: Directory of the engine's versions.
    type: path
    required: true
  services:
    description: The engine's services and the addresses (C(address:port)) that each is going to listen on.
    type: dict
    default: {}
  prefix:
    description:
      - What the names of the engine's services begin with; RV(undeclared) lists those that O(services) does not
        name.
    type: str
  manager:
    description: The service manager; V(auto) takes systemd when it is PID 1 and answers, and the script otherwise.
    type: str
    choices: [auto, systemd, script]
    default: auto
  user:
    description: The service's user.
    type: str
  command:
    description: The engine's command; it is asked for its version.
    type: path
"""

EXAMPLES = r"""
- name: Look at the host
  gguf.fleet.engine_info:
    engine: ollama
    root: /opt/ollama
    services:
      ollama: ["127.0.0.1:11434"]
    user: ollama
    command: /usr/local/bin/ollama
  register: ollama
"""

RETURN = r"""
architecture:
  description: The architecture as release archives name it.
  returned: always
  type: str
  sample: amd64
manager:
  description: Who runs services here, V(systemd) or V(script).
  returned: always
  type: str
manager_reason:
  description: Why.
  returned: always
  type: str
  sample: PID 1 is bash
zstd:
  description: Whether this host can unpack C(.tar.zst).
  returned: always
  type: bool
nvidia:
  description: Number of NVIDIA cards on the PCI bus, whether or not a driver runs.
  returned: always
  type: int
groups:
  description: Which of the groups that own GPU devices exist.
  returned: always
  type: list
  elements: str
  sample: [render, video]
releases:
  description: Installed versions with the sha256 of their archives.
  returned: always
  type: list
  elements: dict
current:
  description: The version that the service starts.
  returned: always
  type: str
previous:
  description: The version before, the target of a rollback.
  returned: always
  type: str
command_version:
  description: The version that O(command) tells, empty when there is none.
  returned: always
  type: str
undeclared:
  description: Our services with O(prefix) that O(services) does not name.
  returned: always
  type: list
  elements: str
user:
  description: The user as it exists, or empty. For an adopted installation it is the user of that one.
  returned: always
  type: dict
port_conflicts:
  description: Who else holds an address of O(services), in words.
  returned: always
  type: list
  elements: str
adopted:
  description:
    - Settings of an installation by install.sh, as it is or as it was when it was adopted; empty when there was
      none.
  returned: always
  type: dict
  contains:
    environment:
      description: Its variables, without those that may be secret.
      type: dict
    kept:
      description:
        - Names of the variables that may be secret. Their values stay on the host, where
          M(gguf.fleet.engine_service) keeps them.
      type: list
      elements: str
    models_dir:
      description: Its store.
      type: str
    user:
      description: The user that it runs as.
      type: str
    home:
      description: That user's home.
      type: str
addresses:
  description: Addresses of the host's interfaces.
  returned: always
  type: list
  elements: str
  sample: [10.0.0.12, 127.0.0.1]
foreign:
  description: What another installer left, of Ollama only.
  returned: always
  type: dict
  contains:
    prefix:
      description: Prefix of an installation that runs, while there is no version of ours; else empty.
      type: str
      sample: /usr/local
    unit:
      description: The file of the service's unit, when it is not ours; else empty.
      type: str
      sample: /etc/systemd/system/ollama.service
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""

import glob
import grp
import os
import pwd
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._install import archive, engines, install, record
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import masked_text
from ansible_collections.gguf.fleet.plugins.module_utils._service import addresses, adoption, manager, process

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
GPU_GROUPS = ("render", "video")


def nvidia_cards() -> int:
    cards = 0
    for device in map(os.path.basename, glob.glob("/sys/bus/pci/devices/*")):
        try:
            with open(f"/sys/bus/pci/devices/{device}/vendor", encoding="ascii") as stream:
                vendor = stream.read().strip()
            with open(f"/sys/bus/pci/devices/{device}/class", encoding="ascii") as stream:
                kind = stream.read().strip()
        except OSError:
            continue
        cards += vendor == "0x10de" and kind.startswith("0x03")
    return cards


def existing_groups() -> list[str]:
    names = {group.gr_name for group in grp.getgrall()}
    return [name for name in GPU_GROUPS if name in names]


def split_listen(text: str) -> tuple[str, int]:
    address, _colon, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def conflicts(listen: t.Sequence[str], state: manager.State) -> list[str]:
    """Who else holds our addresses. Our own service holding them is how it should be."""
    found = []
    for text in listen:
        address, port = split_listen(text)
        sockets = process.listeners(address, port)
        if not sockets:
            continue
        holder = process.holder({socket.inode for socket in sockets})
        if state.pid and holder is not None and state.pid in process.ancestors(holder.pid):
            continue
        uid = sockets[0].uid
        if holder is None and state.pid and uid == process.owner(state.pid):
            continue
        if holder is not None:
            who = f"{holder.name} (pid {holder.pid}, {masked_text(holder.command)})"
        else:
            who = f"a process of user {name_of(uid)}"
        found.append(f"port {port} of {sockets[0].local[0]} is in use by {who}")
    return found


def command_version(engine: engines.Engine, command: str | None) -> str:
    """A command that does not run tells nothing here; installing is what says why."""
    if not command or not os.path.isfile(command):
        return ""
    try:
        return engines.ask_version(engine, command)
    except InstallProblem:
        return ""


def foreign_prefix(engine: engines.Engine, root: str) -> str:
    """Where install.sh put a version that runs here, to be gone back to."""
    prefix = install.adoptable(engine, root)
    return prefix if prefix and command_version(engine, os.path.join(prefix, "bin", engine.program)) else ""


def undeclared(units: str, prefix: str | None, services: t.Mapping[str, t.Any]) -> list[str]:
    if not prefix:
        return []
    drop_ins = glob.glob(os.path.join(glob.escape(units), f"{glob.escape(prefix)}*.service.d", "gguf-fleet.conf"))
    names = {os.path.basename(os.path.dirname(path))[: -len(".service.d")] for path in drop_ins}
    return sorted(names - set(services))


def name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "required": True, "choices": ["ollama", "llama_cpp"]},
            "root": {"type": "path", "required": True},
            "services": {"type": "dict", "default": {}},
            "prefix": {"type": "str"},
            "manager": {"type": "str", "choices": ["auto", "systemd", "script"], "default": "auto"},
            "user": {"type": "str"},
            "command": {"type": "path"},
        },
        supports_check_mode=True,
    )
    p = module.params
    engine = engines.ENGINES[p["engine"]]
    detected, reason = manager.detect()
    name = detected if p["manager"] == "auto" else p["manager"]
    try:
        installed = record.read(engine, p["root"])
        busy = [
            conflict
            for service, listen in p["services"].items()
            for conflict in conflicts(listen, manager.manager(name, service).state())
        ]
        adopted = {}
        foreign = {"prefix": "", "unit": ""}
        if engine.name == "ollama":
            way = manager.manager(name, engine.name)
            adopted = adoption.read(engine.name, way, adoption.user_of)
            foreign["unit"] = adoption.foreign_unit(way)
            if not installed.current:
                foreign["prefix"] = foreign_prefix(engine, p["root"])
        version = command_version(engine, p["command"])
    except Problem as error:
        module.fail_json(**failure(error))
    module.exit_json(
        changed=False,
        architecture=ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        manager=name,
        manager_reason=reason if p["manager"] == "auto" else f"it was asked for; {reason}",
        zstd=archive.can_read_zstd(),
        nvidia=nvidia_cards(),
        groups=existing_groups(),
        releases=[{"version": release.version, "sha256": list(release.sums)} for release in installed.releases],
        current=installed.current or "",
        previous=installed.previous or "",
        command_version=version,
        undeclared=undeclared(manager.UNITS[name], p["prefix"], p["services"]),
        user=adoption.user_of(adopted.get("user") or p["user"]),
        port_conflicts=busy,
        addresses=addresses.of_host(),
        adopted=adoption.told(adopted),
        foreign=foreign,
    )


if __name__ == "__main__":
    main()
