#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_preflight
short_description: Check whether a host is ready to serve its models
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Looks at GPUs, driver, NVSwitch fabric, the kernel's Xid lines, disk, RAM, ports, clock, Python and network, and
    judges what it sees, warnings apart from errors. It changes nothing and never fails because of what it finds.
  - What it may not see, such as the kernel's log in a container, it says and does not judge.
extends_documentation_fragment:
  - gguf.fleet.attributes.info
options:
  expected_gpus:
    description: The GPUs that the host should have, each with C(name), C(count) and C(memory_total_mib).
    type: list
    elements: dict
    default: []
  expected_ram_gib:
    description: RAM in GiB that the host should have. V(0) for no expectation.
    type: int
    default: 0
  expect_fabric_manager:
    description: Whether the host is an NVSwitch machine, which needs nvidia-fabricmanager.
    type: bool
    default: false
  engines:
    description:
      - The engines of the host, as P(gguf.fleet.fleet#filter) describes them. C(name) and C(version) say which driver
        is needed, C(store) and C(service_user) who has to reach what, C(gpus) and C(environment) how O(models) are
        planned.
    type: list
    elements: dict
    default: []
  models_dir:
    description: The directory for the verified files. It need not exist yet.
    type: path
    default: /srv/gguf-fleet/models
  needed_bytes:
    description: Size in bytes of the models that the host is to serve.
    type: int
    default: 0
  ports:
    description: TCP ports on which the engine will listen.
    type: list
    elements: int
    default: []
  urls:
    description: Addresses that the host must reach, such as the hub's.
    type: list
    elements: str
    default: []
  controller_time:
    description: The controller's time in seconds since 1970, to compare clocks.
    type: float
  read_probe:
    description: Read up to 256 MiB of a model that is there already, to estimate the load time.
    type: bool
    default: true
  models:
    description:
      - The models that the host is to serve. Whether each fits on the GPUs and the RAM that are really there is
        computed as by M(gguf.fleet.gguf_plan), so that what stays in RAM is judged, too.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      gguf:
        description: Facts of its header, as a lock holds them.
        type: dict
        required: true
      engine:
        description: The engine that serves it.
        type: str
        choices: [ollama, llama_cpp]
        default: ollama
      parameters:
        description: The parameters that the engine will get, in its own words.
        type: dict
        default: {}
  pynvml_path:
    description: As for M(gguf.fleet.gpu_info).
    type: path
    default: /usr/local/lib/gguf-fleet/python
seealso:
  - module: gguf.fleet.gpu_info
  - module: gguf.fleet.gguf_plan
"""

EXAMPLES = r"""
- name: Check a machine with eight H20
  gguf.fleet.host_preflight:
    expected_gpus:
      - name: NVIDIA H20
        count: 8
        memory_total_mib: 97871
    expect_fabric_manager: true
    models_dir: /srv/gguf-fleet/models
    needed_bytes: 226600000000
    ports: [11434]
  register: preflight

- name: Stop at errors
  ansible.builtin.assert:
    that: preflight.errors | length == 0
    fail_msg: "{{ preflight.errors | map(attribute='text') | join(' ') }}"
"""

RETURN = r"""
findings:
  description: What was judged, good or bad.
  type: list
  elements: dict
  returned: always
  contains:
    subject:
      description: GPUs, driver, fabric, Xid, disk, RAM, models, ports, time, Python or network.
      type: str
    level:
      description: V(ok), V(warning) or V(error).
      type: str
    text:
      description: What is so.
      type: str
    remedy:
      description: What to do about it; empty when all is well.
      type: str
    short:
      description: What a good finding says in a word or two, for a table.
      type: str
errors:
  description: The findings that stop a deployment.
  type: list
  elements: dict
  returned: always
warnings_found:
  description: The findings that an operator should know.
  type: list
  elements: dict
  returned: always
gpus:
  description: As RV(gguf.fleet.gpu_info#module:gpus).
  type: list
  elements: dict
  returned: always
ram_total_bytes:
  description: RAM of the host in bytes.
  type: int
  returned: always
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._preflight import judge
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.finding import ERROR, WARNING
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import forget, let_see, secrets_in


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "expected_gpus": {"type": "list", "elements": "dict", "default": []},
            "expected_ram_gib": {"type": "int", "default": 0},
            "expect_fabric_manager": {"type": "bool", "default": False},
            # With their environments, which may hold keys.
            "engines": {"type": "list", "elements": "dict", "default": [], "no_log": True},
            "models_dir": {"type": "path", "default": "/srv/gguf-fleet/models"},
            "needed_bytes": {"type": "int", "default": 0},
            "ports": {"type": "list", "elements": "int", "default": []},
            "urls": {"type": "list", "elements": "str", "default": [], "no_log": True},
            "controller_time": {"type": "float"},
            "read_probe": {"type": "bool", "default": True},
            "models": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "gguf": {"type": "dict", "required": True},
                    "engine": {"type": "str", "choices": ["ollama", "llama_cpp"], "default": "ollama"},
                    "parameters": {"type": "dict", "default": {}, "no_log": True},
                },
            },
            "pynvml_path": {"type": "path", "default": "/usr/local/lib/gguf-fleet/python"},
        },
        supports_check_mode=True,
    )
    urls = module.params["urls"]
    let_see(module.no_log_values, urls, secrets_in(urls))
    forget(module.no_log_values, module.params, "models", "engines")
    seen = judge.judge_host(judge.Expected(**module.params))
    findings = [asdict(finding) for finding in seen.findings]
    module.exit_json(
        changed=False,
        findings=findings,
        errors=[finding for finding in findings if finding["level"] == ERROR],
        warnings_found=[finding for finding in findings if finding["level"] == WARNING],
        gpus=seen.gpus,
        ram_total_bytes=seen.ram_bytes,
    )


if __name__ == "__main__":
    main()
