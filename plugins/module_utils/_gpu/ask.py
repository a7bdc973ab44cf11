# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The GPUs of this host, from the first source that it has: pynvml, else nvidia-smi."""

from __future__ import annotations

from ansible_collections.gguf.fleet.plugins.module_utils._gpu import nvidia_smi, nvml
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError, Report, Trouble
from ansible_collections.gguf.fleet.plugins.module_utils._process.programs import find_program

AUTO, PYNVML, NVIDIA_SMI = "auto", "pynvml", "nvidia_smi"
# Where the role host puts the controller's pynvml.
PYNVML_PATH = "/usr/local/lib/gguf-fleet/python"


def ask_gpus(source: str = AUTO, pynvml_path: str = PYNVML_PATH, program: str = "nvidia-smi") -> Report:
    """What the source says.

    Args:
        source: AUTO takes the first that is there; a host with neither has a report of one trouble.
        pynvml_path: the directory with a pynvml.py for a Python that has none of its own.
        program: name or path of nvidia-smi.

    Raises:
        GpuError: the source that was asked for is not there.
    """
    binding = nvml.find_pynvml(pynvml_path) if source != NVIDIA_SMI else None
    if binding is not None:
        return nvml.read_report(binding)
    if source == PYNVML:
        raise GpuError(
            f"Neither this host's Python nor {pynvml_path} has pynvml.",
            "Install the Python package nvidia-ml-py, run the role gguf.fleet.host, or set source to auto.",
        )
    found = find_program(program)
    if found is not None:
        return nvidia_smi.read_report(nvidia_smi.runner(found))
    if source == NVIDIA_SMI:
        raise GpuError(
            f"This host has no program {program}.",
            "Install the NVIDIA driver, or set source to auto.",
        )
    nothing = Trouble(
        "This host has neither pynvml nor nvidia-smi, so its GPUs cannot be read.",
        "Install the NVIDIA driver; on a host without a GPU this is correct.",
    )
    return Report(source="none", troubles=(nothing,))
