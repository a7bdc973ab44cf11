#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_info
short_description: Read which NVIDIA GPUs a host has, and their state
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Asks NVIDIA's management library (NVML) through the Python package C(pynvml), or the program C(nvidia-smi)
    where there is no such package, and says which of the two answered.
  - What the driver refuses is a fact and not a failure. A host without a driver has no GPUs and one entry in
    RV(problems); a GPU that fell off the bus is listed with RV(gpus[].usable) false; a field that a GPU does
    not know is V(null).
extends_documentation_fragment:
  - gguf.fleet.attributes.info
options:
  source:
    description:
      - Whom to ask.
      - V(auto) asks C(pynvml) when the module's interpreter or O(pynvml_path) has it, and C(nvidia-smi) otherwise.
    type: str
    choices: [auto, pynvml, nvidia_smi]
    default: auto
  pynvml_path:
    description:
      - A directory with a file C(pynvml.py), used when the module's interpreter has no C(pynvml) of its own.
      - The role P(gguf.fleet.host#role) puts the controller's file into the default directory, so hosts need no
        access to a package index.
    type: path
    default: /usr/local/lib/gguf-fleet/python
  nvidia_smi:
    description: The C(nvidia-smi) program, by name or by path.
    type: str
    default: nvidia-smi
seealso:
  - module: gguf.fleet.host
  - module: gguf.fleet.gguf_plan
"""

EXAMPLES = r"""
- name: Look at the GPUs
  gguf.fleet.gpu_info:
  register: gpu_info

- name: Stop when a GPU is missing
  ansible.builtin.assert:
    that: gpu_info.gpus | selectattr('usable') | length == 8
    fail_msg: "{{ gpu_info.problems | map(attribute='problem') | join(' ') }}"
"""

RETURN = r"""
source:
  description: Who answered, V(pynvml), V(nvidia_smi), or V(none) when the host has neither.
  type: str
  returned: always
driver:
  description: Versions of the driver and of the CUDA that it supports; V(null) where unknown.
  type: dict
  returned: always
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
  returned: always
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
      description: NUMA node of the host that the GPU is near to, by the kernel where the driver does not tell.
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
  returned: always
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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.ask import ask_gpus
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "str", "choices": ["auto", "pynvml", "nvidia_smi"], "default": "auto"},
            "pynvml_path": {"type": "path", "default": "/usr/local/lib/gguf-fleet/python"},
            "nvidia_smi": {"type": "str", "default": "nvidia-smi"},
        },
        supports_check_mode=True,
    )
    p = module.params
    try:
        report = ask_gpus(p["source"], p["pynvml_path"], p["nvidia_smi"])
    except Problem as error:
        module.fail_json(**failure(error))
    module.exit_json(changed=False, **report.as_facts())


if __name__ == "__main__":
    main()
