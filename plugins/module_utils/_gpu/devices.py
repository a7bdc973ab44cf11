# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The GPUs of a plan: those that gpu_info saw, or described ones ("what if I had two 4090")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import MIB, GpuError

# What a driver keeps of a card for itself when nobody tells.
UNTOLD_RESERVE_BYTES = 640 * MIB
# Memory of these programs is the engine's own: planning a host that already serves must give the same plan again.
ENGINE_PROGRAMS = ("ollama", "llama-server", "llama_server")


@dataclass(frozen=True)
class Device:
    index: int
    uuid: Optional[str]
    name: str
    usable_bytes: int
    foreign_bytes: int = 0  # held by programs that are not an engine
    host: str = ""  # where several hosts are planned as one
    numa_node: Optional[int] = None
    island: Optional[int] = None  # the first of the GPUs that NVLink joins it with

    @property
    def label(self) -> str:
        return f"{self.host} GPU {self.index}".strip()


def devices_from_facts(gpus: Sequence[Mapping[str, Any]], only: Optional[Sequence[str]] = None) -> list[Device]:
    """The usable GPUs in their order; C(only) chooses some by index or UUID."""
    usable = {
        int(gpu.get("index", number)): gpu
        for number, gpu in enumerate(_expanded(gpus))
        if gpu.get("usable", True) is not False
    }
    wanted = indices_of(only or (), {index: gpu.get("uuid") for index, gpu in usable.items()})
    islands = _islands(usable)
    return [_device(gpu, index, islands) for index, gpu in usable.items() if index in wanted]


def indices_of(names: Sequence[str], uuids: Mapping[int, Any], asking: str = "") -> set[int]:
    """The indices of the GPUs that these indices or UUIDs name: all for no names, none for -1.

    Args:
        names: as CUDA_VISIBLE_DEVICES has them.
        uuids: of the GPUs that are there, by index.
        asking: what the message begins with.

    Raises:
        GpuError: for one that is missing.
    """
    asked = list(map(str, names))
    if not asked:
        return set(uuids)
    if asked == ["-1"]:
        return set()
    known = {name: index for index, uuid in uuids.items() for name in (str(index), str(uuid))}
    missing = [name for name in asked if name not in known]
    if missing:
        raise GpuError(
            f"{asking}GPU {', '.join(missing)} is asked for and not there, or does not answer.",
            f"Choose among {', '.join(map(str, uuids)) or 'none'}.",
        )
    return {known[name] for name in asked}


def _expanded(gpus: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A description may say C(count) instead of repeating itself; then its numbers are the plan's own."""
    if not any("count" in gpu for gpu in gpus):
        return list(gpus)
    every = [gpu for gpu in gpus for _copy in range(int(gpu.get("count", 1)))]
    return [{**gpu, "index": index} for index, gpu in enumerate(every)]


def _islands(gpus: Mapping[int, Mapping[str, Any]]) -> dict[int, int]:
    """By index, the first of the GPUs that NVLink joins, directly or by way of others. Only GPUs with links are in it.

    An NVSwitch joins all that it has links to.
    """
    names = {str(gpu.get("pci_bus_id")).lower(): index for index, gpu in gpus.items() if gpu.get("pci_bus_id")}
    ends: dict[int, set[str]] = {
        index: {str(peer).lower() for peer in gpu.get("nvlink_peers") or ()} for index, gpu in gpus.items()
    }
    found = {index: index for index in sorted(ends) if ends[index]}
    changed = True
    while changed:
        changed = False
        for index in list(found):
            joined = [names[peer] for peer in ends[index] if names.get(peer) in found]
            if "nvswitch" in ends[index]:
                joined += [other for other in found if "nvswitch" in ends[other]]
            for other in joined:
                first = min(found[index], found[other])
                changed = changed or found[index] != first or found[other] != first
                found[index] = found[other] = first
    return found


def _device(gpu: Mapping[str, Any], index: int, islands: Mapping[int, int]) -> Device:
    total = gpu.get("memory_total_bytes") or int(gpu.get("memory_total_mib") or 0) * MIB
    if not total:
        raise GpuError(
            f"The memory of GPU {index} is not known.",
            "Give memory_total_bytes or memory_total_mib for it, or facts of gpu_info.",
        )
    reserved = gpu.get("memory_reserved_bytes")
    foreign = sum(
        int(process.get("memory_bytes") or 0)
        for process in gpu.get("processes") or ()
        if not any(program in str(process.get("name") or "") for program in ENGINE_PROGRAMS)
    )
    return Device(
        index=index,
        uuid=gpu.get("uuid"),
        name=str(gpu.get("name") or "GPU"),
        usable_bytes=int(total) - int(UNTOLD_RESERVE_BYTES if reserved is None else reserved) - foreign,
        foreign_bytes=foreign,
        numa_node=None if gpu.get("numa_node") is None else int(gpu["numa_node"]),
        island=islands.get(index),
    )
