# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Asks NVIDIA's management library through pynvml, field by field."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any, Callable, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.numa import numa_node_of
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import Gpu, Process, Report, Trouble, troubles_of
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

ARCHITECTURES = {
    2: "kepler",
    3: "maxwell",
    4: "pascal",
    5: "volta",
    6: "turing",
    7: "ampere",
    8: "ada",
    9: "hopper",
    10: "blackwell",
}
FABRIC_STATES = {1: "not_started", 2: "in_progress", 3: "completed"}

# NVML_ERROR_*: what a refusal of the whole library means to an operator.
_START_TROUBLES = {
    9: (
        "The NVIDIA kernel module is not loaded.",
        "Load it (modprobe nvidia) or install the driver; after a kernel update reboot first.",
    ),
    12: (
        "NVIDIA's management library libnvidia-ml.so.1 is not installed.",
        "Install the NVIDIA driver; in a container pass the GPUs in "
        "(nvidia-container-toolkit, NVIDIA_DRIVER_CAPABILITIES=compute,utility).",
    ),
    17: (
        "The operating system blocks access to the GPUs.",
        "Check the device cgroup and /dev/nvidia*; restart a container (a daemon-reload outside takes devices away).",
    ),
    18: (
        "The NVIDIA library and the loaded kernel module are of different versions.",
        "The driver packages were upgraded under a running module: reboot, or unload and load the nvidia modules.",
    ),
    999: (
        "NVIDIA's management library answers with an unknown error.",
        "Look at the kernel's log (journalctl -k, lines NVRM and Xid), then reboot.",
    ),
}


def find_pynvml(directory: str) -> Optional[Any]:
    """The pynvml module of this interpreter, else the one that lies in a directory; None when there is neither."""
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        pass
    path = os.path.join(directory, "pynvml.py")
    spec = importlib.util.spec_from_file_location("pynvml", path) if os.path.isfile(path) else None
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    # pynvml looks itself up there while it is read.
    sys.modules["pynvml"] = module
    spec.loader.exec_module(module)
    return module


def read_report(nvml: Any) -> Report:
    """Everything that NVML tells about this host. Never raises for what NVML refuses: refusals are facts."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        unknown = (
            f"NVIDIA's management library does not start: {error}.",
            "Run nvidia-smi on the host to see the reason.",
        )
        problem, remedy = _START_TROUBLES.get(error.value, unknown)
        return Report(source="pynvml", troubles=(Trouble(problem, remedy),))
    try:
        return _read_started(nvml)
    finally:
        nvml.nvmlShutdown()


def _read_started(nvml: Any) -> Report:
    asked = _Questions(nvml)
    cuda = asked.ask("cuda_version", nvml.nvmlSystemGetCudaDriverVersion_v2)
    gpus: list[Gpu] = []
    troubles: list[Trouble] = []
    for index in range(asked.ask("count", nvml.nvmlDeviceGetCount) or 0):
        try:
            gpu = _read_gpu(nvml, index, nvml.nvmlDeviceGetHandleByIndex(index))
            troubles.extend(troubles_of(gpu))
        except nvml.NVMLError as error:
            gpu = Gpu(index=index, usable=False)
            troubles.append(
                Trouble(
                    f"GPU {index} does not answer: {error}.",
                    "Look for Xid lines in the kernel's log; reset the GPU or power-cycle the host, "
                    "then check its seat and power.",
                    index,
                )
            )
        gpus.append(gpu)
    return Report(
        source="pynvml",
        driver_version=asked.ask("driver_version", nvml.nvmlSystemGetDriverVersion),
        cuda_version=None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
        library_version=asked.ask("library_version", nvml.nvmlSystemGetNVMLVersion),
        gpus=tuple(gpus),
        troubles=tuple(troubles),
    )


class _Questions:
    """Asks one question after the other and keeps the names of those that this GPU does not answer."""

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        self.not_supported: list[str] = []

    def ask(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            told = call(*arguments)
        except UnicodeDecodeError:
            # The name of a process is whatever its owner likes.
            self.not_supported.append(name)
            return None
        except self.nvml.NVMLError as error:
            if error.value == self.nvml.NVML_ERROR_GPU_IS_LOST:
                raise
            self.not_supported.append(name)
            return None
        return printable(told) if isinstance(told, str) else told


def _read_gpu(nvml: Any, index: int, handle: Any) -> Gpu:
    questions = _Questions(nvml)
    ask = questions.ask
    capability = ask("compute_capability", nvml.nvmlDeviceGetCudaComputeCapability, handle)
    memory = ask("memory_total_bytes", nvml.nvmlDeviceGetMemoryInfo, handle)
    reserved = ask("memory_reserved_bytes", nvml.nvmlDeviceGetMemoryInfo, handle, nvml.nvmlMemory_v2)
    bar1 = ask("bar1_total_bytes", nvml.nvmlDeviceGetBAR1MemoryInfo, handle)
    power_milliwatts = ask("power_limit_watts", nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
    ecc = ask("ecc", nvml.nvmlDeviceGetEccMode, handle)
    mig = ask("mig", nvml.nvmlDeviceGetMigMode, handle)
    persistence = ask("persistence", nvml.nvmlDeviceGetPersistenceMode, handle)
    pci = ask("pci_bus_id", nvml.nvmlDeviceGetPciInfo, handle)
    uncorrected = corrected = None
    if ecc is not None and ecc[0]:
        count, since_start = nvml.nvmlDeviceGetTotalEccErrors, nvml.NVML_VOLATILE_ECC
        uncorrected = ask("ecc_uncorrected", count, handle, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, since_start)
        corrected = ask("ecc_corrected", count, handle, nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, since_start)
    bus_id = None if pci is None else str(pci.busId)
    numa_node = ask("numa_node", nvml.nvmlDeviceGetNumaNodeId, handle)
    links, peers = _read_links(nvml, handle)
    return Gpu(
        index=index,
        uuid=ask("uuid", nvml.nvmlDeviceGetUUID, handle),
        name=ask("name", nvml.nvmlDeviceGetName, handle),
        pci_bus_id=bus_id,
        architecture=ARCHITECTURES.get(ask("architecture", nvml.nvmlDeviceGetArchitecture, handle)),
        compute_capability=None if capability is None else f"{capability[0]}.{capability[1]}",
        memory_total_bytes=None if memory is None else int(memory.total),
        memory_free_bytes=None if memory is None else int(memory.free),
        memory_used_bytes=None if memory is None else int(memory.used),
        memory_reserved_bytes=None if reserved is None else int(reserved.reserved),
        bar1_total_bytes=None if bar1 is None else int(bar1.bar1Total),
        power_limit_watts=None if power_milliwatts is None else power_milliwatts / 1000,
        pcie_generation=ask("pcie_generation", nvml.nvmlDeviceGetCurrPcieLinkGeneration, handle),
        pcie_generation_max=ask("pcie_generation_max", nvml.nvmlDeviceGetMaxPcieLinkGeneration, handle),
        pcie_width=ask("pcie_width", nvml.nvmlDeviceGetCurrPcieLinkWidth, handle),
        pcie_width_max=ask("pcie_width_max", nvml.nvmlDeviceGetMaxPcieLinkWidth, handle),
        nvlinks_active=links,
        nvlink_peers=peers,
        fabric=_read_fabric(nvml, handle, questions),
        numa_node=numa_node_of(bus_id) if numa_node is None else numa_node,
        mig=None if mig is None else bool(mig[0]),
        ecc=None if ecc is None else bool(ecc[0]),
        ecc_uncorrected=uncorrected,
        ecc_corrected=corrected,
        persistence=None if persistence is None else bool(persistence),
        processes=_read_processes(nvml, handle, questions),
        not_supported=tuple(questions.not_supported),
    )


def _read_links(nvml: Any, handle: Any) -> tuple[Optional[int], tuple[str, ...]]:
    """How many NVLinks are up, and to whom: `nvswitch`, or the PCI bus ids of other GPUs."""
    kinds = {nvml.NVML_NVLINK_DEVICE_TYPE_SWITCH: "nvswitch", nvml.NVML_NVLINK_DEVICE_TYPE_IBMNPU: "npu"}
    active: Optional[int] = None
    peers: set[str] = set()
    for link in range(nvml.NVML_NVLINK_MAX_LINKS):
        # A GPU without NVLink refuses the first question, one with 18 links refuses the nineteenth.
        links = _Questions(nvml)
        state = links.ask("state", nvml.nvmlDeviceGetNvLinkState, handle, link)
        if state is None:
            break
        active = (active or 0) + int(bool(state))
        if state:
            kind = kinds.get(links.ask("type", nvml.nvmlDeviceGetNvLinkRemoteDeviceType, handle, link))
            remote = None if kind else links.ask("peer", nvml.nvmlDeviceGetNvLinkRemotePciInfo, handle, link)
            if kind:
                peers.add(kind)
            elif remote is not None:
                peers.add(str(remote.busId))
    return active, tuple(sorted(peers))


def _read_fabric(nvml: Any, handle: Any, questions: _Questions) -> Optional[str]:
    if not hasattr(nvml, "c_nvmlGpuFabricInfo_v3_t"):
        return None
    info = nvml.c_nvmlGpuFabricInfo_v3_t()
    if questions.ask("fabric", nvml.nvmlDeviceGetGpuFabricInfoV, handle, nvml.byref(info)) is None:
        return None
    return FABRIC_STATES.get(info.state)


def _read_processes(nvml: Any, handle: Any, questions: _Questions) -> tuple[Process, ...]:
    found = questions.ask("processes", nvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
    names = _Questions(nvml)
    return tuple(
        Process(item.pid, names.ask("name", nvml.nvmlSystemGetProcessName, item.pid), item.usedGpuMemory)
        for item in sorted(found, key=lambda item: item.pid)
    )
