#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: host
short_description: Prepare a host of the fleet, and read its state
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Makes the directory of the verified model files, with mode 0755, and gives it to root. A link on the way is followed
    only where nobody but root could have made it.
  - Puts the controller's C(pynvml) on the host, so that its GPUs are read through NVIDIA's library and hosts need
    neither pip nor a package index. It travels only when the host has another one.
  - Tells the host's Python, memory, GPUs and those of its services that this collection made.
  - Without O(models_dir) and O(pynvml) it only looks.
  - A Python older than 3.9 is refused.
  - With O(state=absent) the files that the ledger C(/var/lib/gguf-fleet/ledger.json) names go, what unfinished
    downloads and merges left, and then the directories that are empty. Everything else stays and is named in RV(stays).
    At last the ledger goes.
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  models_dir:
    description: The directory of the verified model files. Required for O(state=absent).
    type: path
  ports:
    description:
      - Ports that the engines are going to listen on. Where something else than an engine holds one, or root rights are
        missing, all of it is said and nothing is made.
    type: list
    elements: int
    default: []
  needed_bytes:
    description:
      - Bytes of all files that are going to be in O(models_dir). Where the disk has no room for what of them cannot be
        on the host yet, that is said with the rest of what is wrong, and nothing is made. Every file that lies there or
        in O(found_in) counts as one of them here; M(gguf.fleet.gguf_download) compares file by file.
    type: int
    default: 0
  found_in:
    description: Other directories of the host in which some of these files may lie already.
    type: list
    elements: path
    default: []
  haproxy:
    description: Whether HAProxy is going to be set up here. Where it is too old, or cannot be installed since apt knows
      no such package, that is said with the rest of what is wrong, and nothing is made.
    type: bool
    default: false
  pynvml:
    description: Whether the controller's C(pynvml) (of the Python package C(nvidia-ml-py)) goes to the host, where the
      controller has it.
    type: bool
    default: false
  pynvml_path:
    description: The directory for it, as for M(gguf.fleet.gpu_info).
    type: path
    default: /usr/local/lib/gguf-fleet/python
  pynvml_sha256:
    description: The sha256 of the controller's file. The action that runs this module sets it.
    type: str
  pynvml_content:
    description: The controller's file. The action that runs this module sets it for a host that has another one.
    type: str
  state:
    description: Whether the host should be ready, or our files be gone.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: gguf.fleet.gpu_info
"""

EXAMPLES = r"""
- name: Prepare the host and look at it
  gguf.fleet.host:
    models_dir: /srv/gguf-fleet/models
    pynvml: true
  register: seen

- name: Look at the host, and change nothing
  gguf.fleet.host:
  register: seen
"""

RETURN = r"""
actions:
  description: What was done, or would be done.
  returned: always
  type: list
  elements: str
  sample: [make /srv/gguf-fleet/models]
stays:
  description: What is in the directory and was not made by this collection, with O(state=absent).
  returned: always
  type: list
  elements: str
python:
  description: The Python that runs modules on the host.
  returned: with O(state=present)
  type: dict
  contains:
    version:
      description: Its version.
      type: str
      sample: 3.11.2
    executable:
      description: Its path.
      type: str
memory_bytes:
  description: The host's memory in bytes.
  returned: with O(state=present)
  type: int
free_bytes:
  description: Bytes that may still be written to the file system of O(models_dir).
  returned: with O(state=present) and O(models_dir)
  type: int
made:
  description: What this collection made on the host earlier and what is still there, by its ledger.
  returned: with O(state=present) and O(models_dir)
  type: dict
  contains:
    files:
      description: The verified files, each with C(path) and C(size_bytes).
      type: list
      elements: dict
    models:
      description: Names of models in stores of Ollama.
      type: list
      elements: str
memory_available_bytes:
  description: What of the memory programs can still get, in bytes.
  returned: with O(state=present)
  type: int
services:
  description: The services on the host that this collection made.
  returned: with O(state=present)
  type: list
  elements: str
  sample: [ollama]
source:
  description: Who answered, V(pynvml), V(nvidia_smi), or V(none) when the host has neither.
  type: str
  returned: with O(state=present)
driver:
  description: Versions of the driver and of the CUDA that it supports; V(null) where unknown.
  type: dict
  returned: with O(state=present)
  contains:
    version:
      description: Version of the kernel driver.
      type: str
      sample: 550.127.08
    cuda_version:
      description: The newest CUDA version that the driver supports.
      type: str
      sample: "12.4"
    library_version:
      description: Version of the management library. Only from C(pynvml).
      type: str
      sample: 12.550.127.08
gpus:
  description: The GPUs in the driver's order. Every field but RV(gpus[].index) and RV(gpus[].usable) can be V(null).
  type: list
  elements: dict
  returned: with O(state=present)
  contains:
    index:
      description: The driver's number of the GPU. It may change at a reboot; RV(gpus[].uuid) does not.
      type: int
    uuid:
      description: The GPU's lasting name.
      type: str
      sample: GPU-20200000-0000-4000-8000-000000000000
    name:
      description: Product name.
      type: str
      sample: NVIDIA H20
    pci_bus_id:
      description: Place on the PCI bus.
      type: str
      sample: 00000000:10:00.0
    architecture:
      description: Name of the architecture.
      type: str
      sample: hopper
    compute_capability:
      description: CUDA compute capability.
      type: str
      sample: "9.0"
    memory_total_bytes:
      description: Memory of the GPU in bytes.
      type: int
      sample: 102625181696
    memory_free_bytes:
      description: Memory in bytes that nobody uses now.
      type: int
    memory_used_bytes:
      description: Memory in bytes that programs and the driver use now.
      type: int
    memory_reserved_bytes:
      description: Memory in bytes that the driver keeps for itself.
      type: int
    bar1_total_bytes:
      description: Size in bytes of the window through which the host sees the memory.
      type: int
    power_limit_watts:
      description: Enforced power limit in watts.
      type: float
    pcie_generation:
      description: PCIe generation of the link now; idle GPUs step down.
      type: int
    pcie_generation_max:
      description: PCIe generation that GPU and slot can do.
      type: int
    pcie_width:
      description: PCIe lanes in use now.
      type: int
    pcie_width_max:
      description: PCIe lanes that GPU and slot can do.
      type: int
    nvlinks_active:
      description: Number of NVLinks that are up; V(null) for a GPU without NVLink.
      type: int
    nvlink_peers:
      description: What the links lead to, V(nvswitch) or PCI bus ids of GPUs.
      type: list
      elements: str
    fabric:
      description: State of the NVSwitch fabric, V(not_started), V(in_progress), V(completed), or V(null) without one.
      type: str
    numa_node:
      description: NUMA node of the host that the GPU is near to.
      type: int
    mig:
      description: Whether the GPU is cut into instances (MIG).
      type: bool
    ecc:
      description: Whether error correction is on.
      type: bool
    ecc_uncorrected:
      description: Uncorrected ECC errors since the driver started.
      type: int
    ecc_corrected:
      description: Corrected ECC errors since the driver started.
      type: int
    persistence:
      description: Whether the driver stays loaded when nobody uses the GPU.
      type: bool
    processes:
      description: Programs that compute on the GPU.
      type: list
      elements: dict
      contains:
        pid:
          description: Process id.
          type: int
        name:
          description: The program.
          type: str
        memory_bytes:
          description: Memory in bytes that it holds on this GPU.
          type: int
    usable:
      description: Whether the GPU answers at all.
      type: bool
    not_supported:
      description: Names of the questions that the driver refused for this GPU.
      type: list
      elements: str
problems:
  description: What is wrong, each with the remedy. An empty list is a healthy host.
  type: list
  elements: dict
  returned: with O(state=present)
  contains:
    problem:
      description: What is wrong.
      type: str
    remedy:
      description: What to do about it.
      type: str
    gpu:
      description: Index of the GPU concerned, V(null) for the whole host.
      type: int
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""

import sys

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

OLDEST_PYTHON = (3, 9)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "models_dir": {"type": "path"},
            "ports": {"type": "list", "elements": "int", "default": []},
            "needed_bytes": {"type": "int", "default": 0},
            "found_in": {"type": "list", "elements": "path", "default": []},
            "haproxy": {"type": "bool", "default": False},
            "pynvml": {"type": "bool", "default": False},
            "pynvml_path": {"type": "path", "default": "/usr/local/lib/gguf-fleet/python"},
            "pynvml_sha256": {"type": "str"},
            # No secret, but too long for the host's log.
            "pynvml_content": {"type": "str", "no_log": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "absent", ["models_dir"])],
        supports_check_mode=True,
    )
    if sys.version_info < OLDEST_PYTHON:
        version = ".".join(map(str, sys.version_info[:3]))
        too_old = Problem(
            f"{sys.executable} is Python {version}; 3.9 or newer is needed.",
            "Install a newer one beside it and name it in ansible_python_interpreter.",
        )
        module.fail_json(**failure(too_old))
    # An older Python cannot read what follows.
    from ansible_collections.gguf.fleet.plugins.module_utils._preflight import host

    p, check = module.params, module.check_mode
    content = p["pynvml_content"]
    wanted = host.Wanted(
        p["models_dir"] or "",
        p["pynvml_path"],
        pynvml_sha256=p["pynvml_sha256"] or "",
        pynvml=None if content is None else content.encode("utf-8"),
    )
    try:
        asked = p["ports"] or p["needed_bytes"] or p["haproxy"]
        looked_for = (p["ports"], wanted.models_dir, p["needed_bytes"], p["found_in"])
        obstacles = host.in_the_way(*looked_for, needs_haproxy=p["haproxy"]) if asked else []
        if obstacles:
            raise Problem("\n".join(obstacles), "")
        if p["state"] == "absent":
            done, seen = host.clear(wanted.models_dir, check=check), {}
        elif host.lacks_pynvml(wanted) and not check:
            module.exit_json(changed=False, lacks_pynvml=True)
        else:
            done, seen = host.prepare(wanted, check=check), host.facts(wanted.pynvml_path, wanted.models_dir)
    except Problem as error:
        module.fail_json(**failure(error))
    except OSError as error:
        remedy = "Look at the disk (df, mount) and run again."
        module.fail_json(**failure(file_problem(error, wanted.models_dir, remedy)))
    if done.stays:
        module.warn(printable(f"Not removed, since this collection did not make it: {', '.join(done.stays[:5])}."))
    module.exit_json(
        changed=bool(done.actions),
        actions=list(done.actions),
        stays=list(done.stays),
        diff={"before": "", "after": "", "prepared": "".join(f"{action}\n" for action in done.actions)},
        **seen,
    )


if __name__ == "__main__":
    main()
