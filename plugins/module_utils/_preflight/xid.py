# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""NVIDIA's Xid lines in the kernel's log: troubles of GPUs that NVML may not tell, or tells no more after a restart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._preflight.finding import ERROR, OK, WARNING, Finding

# `kernel: NVRM: Xid (PCI:0000:3b:00): 79, pid=812, GPU has fallen off the bus.`; drivers before 2021 have no `PCI:`.
_LINE = re.compile(r"^(?P<when>\[[^\]]*\]|\S*).*?NVRM: Xid \((?:PCI:)?(?P<bus>[0-9a-fA-F:.]+)\): (?P<number>\d+)")

_RESET = "Reset the GPU (nvidia-smi --gpu-reset) or reboot; have it replaced when it comes back."
_SEAT = "Power-cycle the host; check the GPU's seat, cooling and power, then have it replaced."
_PROGRAM = "Look at the program that ran then; when several programs meet it, suspect the GPU."
_MEMORY = "Reset the GPU (nvidia-smi --gpu-reset) when nothing runs, so that the spare memory is taken into use."
_LINK = "Check the NVLink or NVSwitch (nvidia-smi nvlink --status) and nvidia-fabricmanager's log, then reset the GPU."
_FIRMWARE = "Reset the GPU or reboot, and update the driver: its GSP firmware hung."

# Weight, meaning and remedy (NVIDIA, "Xid Errors").
KNOWN: Mapping[int, tuple[str, str, str]] = {
    13: (WARNING, "a program made the graphics engine fail", _PROGRAM),
    31: (WARNING, "a program touched GPU memory that was not its own", _PROGRAM),
    43: (WARNING, "a program's work hung and was stopped", _PROGRAM),
    45: (WARNING, "a program's work was cleaned up, mostly after another error", _PROGRAM),
    48: (ERROR, "a double-bit memory error that ECC cannot correct", _RESET),
    62: (ERROR, "the GPU's own micro-controller halted", _RESET),
    63: (WARNING, "faulty memory was set aside", _MEMORY),
    64: (ERROR, "faulty memory could not be set aside", _SEAT),
    74: (ERROR, "an NVLink error", _LINK),
    79: (ERROR, "the GPU fell off the bus", _SEAT),
    94: (WARNING, "a memory error that only one program met", _MEMORY),
    95: (ERROR, "a memory error that could not be contained", _RESET),
    119: (ERROR, "the GPU's system processor does not answer", _FIRMWARE),
    120: (ERROR, "the GPU's system processor failed", _FIRMWARE),
}
_UNKNOWN = (WARNING, "not among those that are known here", "Look the number up in NVIDIA's list of Xid errors.")


@dataclass(frozen=True)
class Xid:
    """All lines of one number about one GPU."""

    bus: str
    number: int
    count: int
    last: str  # when it was last met, in the log's own words


def xids_in(lines: Iterable[str]) -> list[Xid]:
    found: dict[tuple[str, int], Xid] = {}
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        key = (match["bus"], int(match["number"]))
        before = found.get(key)
        found[key] = Xid(*key, 1 if before is None else before.count + 1, match["when"].strip("[] "))
    return list(found.values())


def judge_xids(lines: Optional[Sequence[str]], gpus: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """C(lines): the kernel's log since the start, None when it may not be read."""
    if lines is None:
        return [Finding("Xid", OK, "the kernel's log may not be read here", short="not to be seen")] if gpus else []
    index_by_place = {_place(gpu["pci_bus_id"]): gpu["index"] for gpu in gpus if gpu.get("pci_bus_id")}
    found = []
    for xid in xids_in(lines):
        level, meaning, remedy = KNOWN.get(xid.number, _UNKNOWN)
        index = index_by_place.get(_place(xid.bus))
        where = f"GPU {index}" if index is not None else f"The GPU at {xid.bus}, which does not answer here,"
        times = f"once, {xid.last}" if xid.count == 1 else f"{xid.count} times, last {xid.last}"
        found.append(Finding("Xid", level, f"{where} had Xid {xid.number}: {meaning} ({times}).", remedy))
    return found or ([Finding("Xid", OK, "no Xid since the start", short="none")] if gpus else [])


def _place(bus: str) -> tuple[int, ...]:
    """`0000:3b:00` of the kernel and `00000000:3B:00.0` of NVML as the same numbers."""
    return tuple(int(part, 16) for part in bus.partition(".")[0].split(":"))
