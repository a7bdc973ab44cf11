# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPU discovery through NVML, once at start, as Ollama does it: a driver that comes later is not seen."""

from __future__ import annotations

import ctypes
from typing import Callable, List, NamedTuple

OVERHEAD_BYTES = 457 * 1024 * 1024  # what Ollama leaves alone on each GPU


class Gpu(NamedTuple):
    """One visible GPU."""

    number: int
    uuid: str
    name: str
    total: int
    free: int


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


def visible(gpus: List[Gpu], selection: str) -> List[Gpu]:
    """What CUDA_VISIBLE_DEVICES leaves: indexes or UUIDs in that order, cut at the first that is unknown."""
    if not selection:
        return gpus
    chosen: List[Gpu] = []
    for item in (part.strip() for part in selection.split(",")):
        match = [
            gpu for gpu in gpus if item == str(gpu.number) or (item.startswith("GPU-") and gpu.uuid.startswith(item))
        ]
        if not match:
            break
        chosen += match[:1]
    return chosen


def discover(selection: str, log: Callable[[str, str], None]) -> List[Gpu]:
    """The GPUs that NVML reports and the selection leaves; none without a working library."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return []
    if nvml.nvmlInit_v2():
        log("WARN", 'msg="NVML is there but does not start: no GPU is used"')
        return []
    found: List[Gpu] = []
    count = ctypes.c_uint()
    if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        count.value = 0
    for index in range(count.value):
        device, memory = ctypes.c_void_p(), _Memory()
        name, uuid = ctypes.create_string_buffer(96), ctypes.create_string_buffer(96)
        failed = (
            nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device))
            or nvml.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory))
            or nvml.nvmlDeviceGetName(device, name, 96)
            or nvml.nvmlDeviceGetUUID(device, uuid, 96)
        )
        if failed:
            log("WARN", 'msg="GPU left out: NVML cannot read it" index=%d code=%d' % (index, failed))
            continue
        found.append(Gpu(index, uuid.value.decode(), name.value.decode(), memory.total, memory.free))
    nvml.nvmlShutdown()
    return visible(found, selection)
