# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a host says about its GPUs, whichever way it was asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

MIB = 1024 * 1024


class GpuError(Problem):
    """A question about GPUs that cannot be answered, and what to do about it."""


@dataclass(frozen=True)
class Process:
    pid: int
    name: Optional[str]
    memory_bytes: Optional[int]


@dataclass(frozen=True)
class Gpu:
    """One GPU. None means that the driver does not tell; `not_supported` names such fields when it said so."""

    index: int
    uuid: Optional[str] = None
    name: Optional[str] = None
    pci_bus_id: Optional[str] = None
    architecture: Optional[str] = None
    compute_capability: Optional[str] = None
    memory_total_bytes: Optional[int] = None
    memory_free_bytes: Optional[int] = None
    memory_used_bytes: Optional[int] = None
    memory_reserved_bytes: Optional[int] = None
    bar1_total_bytes: Optional[int] = None
    power_limit_watts: Optional[float] = None
    pcie_generation: Optional[int] = None
    pcie_generation_max: Optional[int] = None
    pcie_width: Optional[int] = None
    pcie_width_max: Optional[int] = None
    nvlinks_active: Optional[int] = None
    nvlink_peers: tuple[str, ...] = ()
    fabric: Optional[str] = None
    numa_node: Optional[int] = None
    mig: Optional[bool] = None
    ecc: Optional[bool] = None
    ecc_uncorrected: Optional[int] = None
    ecc_corrected: Optional[int] = None
    persistence: Optional[bool] = None
    processes: tuple[Process, ...] = ()
    usable: bool = True
    not_supported: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trouble:
    """A fact that an operator must know. gpu is None when it concerns the whole host."""

    problem: str
    remedy: str
    gpu: Optional[int] = None


@dataclass(frozen=True)
class Report:
    """The GPUs of a host, and who said so."""

    source: str
    driver_version: Optional[str] = None
    cuda_version: Optional[str] = None
    library_version: Optional[str] = None
    gpus: tuple[Gpu, ...] = ()
    troubles: tuple[Trouble, ...] = field(default_factory=tuple)

    def as_facts(self) -> dict[str, Any]:
        """The report as plain data, in the form that gpu_info returns and gguf_plan takes."""
        return {
            "source": self.source,
            "driver": {
                "version": self.driver_version,
                "cuda_version": self.cuda_version,
                "library_version": self.library_version,
            },
            "gpus": [asdict(gpu, dict_factory=_plain) for gpu in self.gpus],
            "problems": [asdict(trouble) for trouble in self.troubles],
        }


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in items}


def troubles_of(gpu: Gpu) -> list[Trouble]:
    """What is wrong with a GPU that still answers."""
    found = []
    if gpu.ecc_uncorrected:
        found.append(
            Trouble(
                f"GPU {gpu.index} ({gpu.uuid}) counted {gpu.ecc_uncorrected} uncorrected ECC errors since start.",
                "Reset the GPU (nvidia-smi --gpu-reset) or reboot; have it replaced when they come back.",
                gpu.index,
            )
        )
    if gpu.fabric in ("not_started", "in_progress"):
        found.append(
            Trouble(
                f"GPU {gpu.index} ({gpu.uuid}) has not joined its NVSwitch fabric ({gpu.fabric}): CUDA will not start.",
                "Start nvidia-fabricmanager in the driver's exact version and wait until its log says that it is up.",
                gpu.index,
            )
        )
    return found
