# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Reads what the nvidia-smi program prints, for hosts without pynvml.

It runs with our own rights, since it may have to make the driver's device files, but never for ever: with a GPU that
fell off the bus it hangs.
"""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import replace
from typing import Callable, Iterator, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.numa import numa_node_of
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import (
    MIB,
    Gpu,
    Process,
    Report,
    Trouble,
    troubles_of,
)
from ansible_collections.gguf.fleet.plugins.module_utils._process.bounded import ProcessProblem, run_bounded
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines, printable

# (exit code, standard output, standard error) of nvidia-smi with these arguments.
Run = Callable[[list[str]], tuple[int, str, str]]

FIELDS = (
    "index",
    "uuid",
    "name",
    "pci.bus_id",
    "driver_version",
    "memory.total",
    "memory.free",
    "memory.used",
    "power.limit",
    "pcie.link.gen.current",
    "pcie.link.gen.max",
    "pcie.link.width.current",
    "pcie.link.width.max",
    "mig.mode.current",
    "ecc.mode.current",
    "ecc.errors.uncorrected.volatile.total",
    "ecc.errors.corrected.volatile.total",
    "persistence_mode",
)
# Known to drivers since 2022; an older nvidia-smi refuses the whole query for one unknown name.
NEWER_FIELDS = ("compute_cap", "memory.reserved")

# Without persistence mode it initialises every GPU anew, which takes some seconds for each.
_SECONDS = 120.0
_MAX_BYTES = 2**20
_MAX_GPUS = 256
# Names of processes are whatever their owners like.
_MAX_VALUE_CHARACTERS = 500

# The first that the compute capability starts with.
_ARCHITECTURES = (
    ("12.", "blackwell"),
    ("10.", "blackwell"),
    ("9.", "hopper"),
    ("8.9", "ada"),
    ("8.", "ampere"),
    ("7.5", "turing"),
    ("7.", "volta"),
    ("6.", "pascal"),
    ("5.", "maxwell"),
)

_START_TROUBLES = (
    (
        "version mismatch",
        "The NVIDIA library and the loaded kernel module are of different versions.",
        "The driver packages were upgraded under a running module: reboot, or unload and load the nvidia modules.",
    ),
    (
        "couldn't communicate with the NVIDIA driver",
        "The NVIDIA kernel module is not loaded.",
        "Load it (modprobe nvidia) or install the driver; after a kernel update reboot first.",
    ),
    (
        "No devices were found",
        "The NVIDIA driver finds no GPU.",
        "Check with lspci that the GPU is seen, and the kernel's log for NVRM lines.",
    ),
)


def runner(program: str, *, seconds: float = _SECONDS) -> Run:
    """Runs this program, a whole path, with bounds of time and output."""

    def run(arguments: list[str]) -> tuple[int, str, str]:
        ended = run_bounded([program, *arguments], seconds=seconds, limit_bytes=_MAX_BYTES)
        return ended.code, ended.stdout.decode("utf-8", "replace"), ended.stderr.decode("utf-8", "replace")

    return run


def read_report(run: Run) -> Report:
    """Everything that nvidia-smi tells about this host; what it refuses becomes a trouble, not an error."""
    try:
        return _read_report(run)
    except ProcessProblem as error:
        trouble = Trouble(
            error.problem, "A GPU or its driver hangs: look for Xid lines in the kernel's log, then reboot the host."
        )
        return Report(source="nvidia_smi", troubles=(trouble,))


def _read_report(run: Run) -> Report:
    fields: tuple[str, ...] = FIELDS + NEWER_FIELDS
    code, out, err = _query(run, fields)
    if code != 0 and "not a valid field" in out + err:
        fields = FIELDS
        code, out, err = _query(run, fields)
    gpus, driver = _parse_gpus(out, fields) if code in (0, 15) else ((), None)
    troubles = [trouble for gpu in gpus for trouble in troubles_of(gpu)]
    troubles.extend(_lost(out + err))
    if code != 0 and not gpus and not troubles:
        troubles.append(_start_trouble(code, out + err))
    processes = _processes(run) if gpus else {}
    return Report(
        source="nvidia_smi",
        driver_version=driver,
        cuda_version=_cuda_version(run) if gpus else None,
        gpus=tuple(_with_processes(gpu, processes) for gpu in gpus),
        troubles=tuple(troubles),
    )


def _query(run: Run, fields: tuple[str, ...]) -> tuple[int, str, str]:
    return run([f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"])


def _start_trouble(code: int, text: str) -> Trouble:
    for words, problem, remedy in _START_TROUBLES:
        if words in text:
            return Trouble(problem, remedy)
    first = next((printable(line.strip()) for line in lines(text) if line.strip()), "no output")
    return Trouble(
        f"nvidia-smi failed with exit code {code}: {first}",
        "Run nvidia-smi on the host and look at the kernel's log (NVRM, Xid).",
    )


def _lost(text: str) -> list[Trouble]:
    # Older programs print `GPU0000:3B:00.0: GPU is lost`, newer ones `GPU0: 0000:3B:00.0: GPU is lost`.
    found = re.findall(
        r"the device handle for GPU\s*(?:([0-9]{1,10}):\s+)?([0-9A-F]{4,8}:[0-9A-F:.]+):\s*([^\n]+)", text
    )
    return [
        Trouble(
            f"The GPU at {bus} does not answer: {printable(reason.strip())}",
            "Look for Xid lines in the kernel's log; reset the GPU or power-cycle the host, "
            "then check its seat and power.",
            int(index) if index else None,
        )
        for index, bus, reason in found[:_MAX_GPUS]
    ]


def _parse_gpus(text: str, fields: tuple[str, ...]) -> tuple[tuple[Gpu, ...], Optional[str]]:
    rows = [row for row in _rows(text) if len(row) == len(fields)]
    values = [dict(zip(fields, row)) for row in rows]
    driver = next((_text(row["driver_version"]) for row in values), None)
    return tuple(_gpu(row) for row in values if _is_number(row["index"]))[:_MAX_GPUS], driver


def _rows(text: str) -> Iterator[list[str]]:
    """The rows up to what is no table any more."""
    try:
        yield from csv.reader(io.StringIO(text), skipinitialspace=True)
    except csv.Error:
        return


def _is_number(text: str) -> bool:
    return re.fullmatch(r" *[0-9]{1,10} *", text) is not None


def _text(value: Optional[str]) -> Optional[str]:
    value = printable((value or "").strip(), limit=_MAX_VALUE_CHARACTERS)
    return None if not value or value.startswith("[") or value in ("N/A", "Not Supported") else value


def _number(value: Optional[str]) -> Optional[float]:
    text = _text(value)
    try:
        number = math.nan if text is None else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _whole(value: Optional[str]) -> Optional[int]:
    number = _number(value)
    return None if number is None else int(number)


def _bytes(value: Optional[str]) -> Optional[int]:
    number = _number(value)
    return None if number is None else int(number * MIB)


def _enabled(value: Optional[str]) -> Optional[bool]:
    text = _text(value)
    return None if text is None else text == "Enabled"


def _gpu(row: dict[str, str]) -> Gpu:
    capability = _text(row.get("compute_cap"))
    total = _bytes(row["memory.total"])
    return Gpu(
        index=int(row["index"]),
        uuid=_text(row["uuid"]),
        name=_text(row["name"]),
        pci_bus_id=_text(row["pci.bus_id"]),
        architecture=next((name for start, name in _ARCHITECTURES if (capability or "").startswith(start)), None),
        compute_capability=capability,
        memory_total_bytes=total,
        memory_free_bytes=_bytes(row["memory.free"]),
        memory_used_bytes=_bytes(row["memory.used"]),
        memory_reserved_bytes=_bytes(row.get("memory.reserved")),
        power_limit_watts=_number(row["power.limit"]),
        numa_node=numa_node_of(_text(row["pci.bus_id"])),
        pcie_generation=_whole(row["pcie.link.gen.current"]),
        pcie_generation_max=_whole(row["pcie.link.gen.max"]),
        pcie_width=_whole(row["pcie.link.width.current"]),
        pcie_width_max=_whole(row["pcie.link.width.max"]),
        mig=_enabled(row["mig.mode.current"]),
        ecc=_enabled(row["ecc.mode.current"]),
        ecc_uncorrected=_whole(row["ecc.errors.uncorrected.volatile.total"]),
        ecc_corrected=_whole(row["ecc.errors.corrected.volatile.total"]),
        persistence=_enabled(row["persistence_mode"]),
        usable=total is not None,
        not_supported=tuple(name for name, value in row.items() if _text(value) is None),
    )


def _processes(run: Run) -> dict[str, list[Process]]:
    asked = ["--query-compute-apps=gpu_uuid,pid,process_name,used_memory", "--format=csv,noheader,nounits"]
    code, out, _err = run(asked)
    found: dict[str, list[Process]] = {}
    for row in _rows(out if code == 0 else ""):
        if len(row) == 4 and _is_number(row[1]):
            found.setdefault(row[0].strip(), []).append(Process(int(row[1]), _text(row[2]), _bytes(row[3])))
    return found


def _with_processes(gpu: Gpu, processes: dict[str, list[Process]]) -> Gpu:
    mine = processes.get(gpu.uuid or "", [])
    return replace(gpu, processes=tuple(sorted(mine, key=lambda process: process.pid)))


def _cuda_version(run: Run) -> Optional[str]:
    """Only the table's head names it, in all versions."""
    _code, out, _err = run([])
    match = re.search(r"CUDA Version:\s*([0-9]{1,4}\.[0-9]{1,4})", out)
    return match.group(1) if match else None
