#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_info
short_description: Find out what a host has of an inference engine, and what prevents its installation
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - "One look at a host before anything is changed: architecture, service manager, installed versions, the running
    service, GPUs, and an installation by Ollama's install.sh that can be adopted."
  - It fails where something else holds an address of O(services), and where one of O(private) is not what it has to be,
    so that nothing is changed then.
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
  private:
    description:
      - Addresses of servers that have no authentication, each by the setting that gives it. Each has to be one of this
        host's in a private network (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7), or loopback.
    type: dict
    default: {}
  prefix:
    description:
      - What the names of the engine's services begin with; RV(undeclared) lists those that O(services) does not
        name.
    type: str
  manager:
    description: The service manager; V(auto) takes systemd when it is PID 1 and answers, and supervisord otherwise.
    type: str
    choices: [auto, systemd, supervisord]
    default: auto
  user:
    description: The service's user.
    type: str
  command:
    description: The engine's command; it is asked for its version.
    type: path
  build:
    description: The version of llama.cpp that is going to be built. Then RV(build) tells what compilers are there, and
      what they build for.
    type: str
    version_added: 0.2.0
  uses:
    description:
      - What llama.cpp is going to do on this host, V(models) (serve them), V(rpc) (RPC to or from other hosts).
      - A O(command) with known remote holes for that is refused, with the CVE; one that prints no build number counts
        as such.
    type: list
    elements: str
    choices: [models, rpc]
    default: []
    version_added: 0.2.0
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
  description: Who runs services here, V(systemd) or V(supervisord).
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
build:
  description: What the host is to a compiler.
  returned: when O(build) is given
  type: dict
  contains:
    version:
      description: O(build).
      type: str
    cpu:
      description: The instructions of its CPU that a compiler uses when it builds for this CPU.
      type: list
      elements: str
    cuda:
      description: The version of the CUDA toolkit, empty for none.
      type: str
    nvcc:
      description: The path of CUDA's compiler, empty for none.
      type: str
    capabilities:
      description: The generations of its NVIDIA GPUs, such as V(90) for an H20.
      type: list
      elements: str
    lacks:
      description: What a build needs and the host does not have.
      type: list
      elements: str
    ccache:
      description: Whether it has ccache.
      type: bool
glibc:
  description: The version of the GNU C library, empty where the C library is another one.
  returned: always
  type: str
  sample: "2.36"
nvidia_driver:
  description: The version of NVIDIA's driver, empty where none runs.
  returned: always
  type: str
  sample: 570.86.15
amd:
  description: Number of AMD cards on the PCI bus.
  returned: always
  type: int
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
  description: The version that O(command) prints; empty when there is no program.
  returned: always
  type: str
services:
  description: The names of O(services), sorted.
  returned: always
  type: list
  elements: str
running:
  description: Of O(services) and RV(undeclared), those that run.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The service.
      type: str
    pid:
      description: Its process.
      type: int
    started_at:
      description: When that was started, in UTC.
      type: str
      sample: "2025-03-01T12:00:00Z"
    uptime_seconds:
      description: How long it has run.
      type: int
undeclared:
  description: Our services with O(prefix) that O(services) does not name.
  returned: always
  type: list
  elements: str
closing:
  description: Where O(services) listen for other machines now, of those that are going to listen on loopback only.
  returned: always
  type: list
  elements: str
  sample: ['0.0.0.0:11434']
user:
  description: The user as it exists, or empty. For an adopted installation it is the user of that one.
  returned: always
  type: dict
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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._install import engines
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._service import engine_facts


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "required": True, "choices": ["ollama", "llama_cpp"]},
            "root": {"type": "path", "required": True},
            "services": {"type": "dict", "default": {}},
            "private": {"type": "dict", "default": {}},
            "prefix": {"type": "str"},
            "manager": {"type": "str", "choices": ["auto", "systemd", "supervisord"], "default": "auto"},
            "user": {"type": "str"},
            "command": {"type": "path"},
            "build": {"type": "str"},
            "uses": {"type": "list", "elements": "str", "choices": ["models", "rpc"], "default": []},
        },
        supports_check_mode=True,
    )
    p = module.params
    question = engine_facts.Question(
        engine=engines.ENGINES[p["engine"]],
        root=p["root"],
        services=p["services"],
        private=p["private"],
        prefix=p["prefix"] or "",
        asked_manager=p["manager"],
        user=p["user"] or "",
        command=p["command"] or "",
        uses=p["uses"],
        build=p["build"] or "",
    )
    try:
        facts = engine_facts.look(question)
    except Problem as error:
        module.fail_json(**failure(error))
    module.exit_json(changed=False, **facts)


if __name__ == "__main__":
    main()
