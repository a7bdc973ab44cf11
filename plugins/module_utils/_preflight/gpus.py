# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Rules that judge GPUs, their driver and their fabric. They take what gpu_info told and look at nothing themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import ENGINE_PROGRAMS
from ansible_collections.gguf.fleet.plugins.module_utils._host.sizes import in_mib
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.finding import (
    ERROR,
    MIB,
    OK,
    WARNING,
    Finding,
)


def judge_gpus(report: Mapping[str, Any], expected: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """GPUs of the expected kind and number, in good health, and free."""
    gpus = report["gpus"]
    usable = [gpu for gpu in gpus if gpu["usable"]]
    found = [_trouble(problem) for problem in report["problems"] if gpus or expected]
    for wanted in expected:
        name, count = str(wanted.get("name") or ""), int(wanted.get("count", 1))
        alike = [gpu for gpu in usable if name in (gpu["name"] or "")]
        if len(alike) < count:
            there = ", ".join(sorted({gpu["name"] or "?" for gpu in usable})) or "none"
            found.append(
                Finding(
                    "GPUs",
                    ERROR,
                    f"{len(alike)} of {count} {name} answer (usable: {len(usable)}, {there}).",
                    "Check nvidia-smi, the kernel's log (Xid) and lspci, or correct fleet_gpus.",
                )
            )
        total_mib = int(wanted.get("memory_total_mib") or 0)
        found += [
            Finding(
                "GPUs",
                WARNING,
                f"GPU {gpu['index']} has {in_mib(gpu['memory_total_bytes'] or 0)} MiB, not {total_mib:,}.",
                "The plan was made for another card: correct fleet_gpus.",
            )
            for gpu in alike
            if total_mib and round((gpu["memory_total_bytes"] or 0) / MIB) < total_mib
        ]
    for gpu in usable:
        found += _health(gpu)
    if not any(finding.level == ERROR for finding in found):
        names = sorted({gpu["name"] or "?" for gpu in usable})
        text = f"{len(usable)} × {', '.join(names)}" if usable else "none, none expected"
        found.insert(0, Finding("GPUs", OK, text, short=text if usable else "none"))
    return found


def _trouble(problem: Mapping[str, Any]) -> Finding:
    return Finding("GPUs", ERROR, problem["problem"], problem["remedy"])


def _health(gpu: Mapping[str, Any]) -> list[Finding]:
    found = []
    if gpu["mig"]:
        found.append(
            Finding(
                "GPUs", ERROR, f"GPU {gpu['index']} is cut into instances (MIG).", "Switch it off: nvidia-smi -mig 0."
            )
        )
    if gpu["persistence"] is False:
        found.append(
            Finding(
                "GPUs",
                WARNING,
                f"GPU {gpu['index']}: persistence mode is off, so every start initialises the driver again.",
                "Enable nvidia-persistenced, or run nvidia-smi -pm 1.",
            )
        )
    for process in gpu["processes"]:
        if not any(program in (process["name"] or "") for program in ENGINE_PROGRAMS):
            found.append(
                Finding(
                    "GPUs",
                    WARNING,
                    f"GPU {gpu['index']} is also used by {process['name']} (pid {process['pid']}, "
                    f"{in_mib(process['memory_bytes'] or 0)} MiB).",
                    "Stop it, or plan without this GPU.",
                )
            )
    return found


def driver_floor(engine: str, version: Optional[str]) -> int:
    """The oldest driver branch that an engine's CUDA libraries run with (Ollama docs/gpu.mdx; CUDA 12: 525)."""
    words = (version or "").lstrip("vb").split(".")
    if engine == "ollama" and words[0] == "0" and len(words) > 1 and words[1].isdigit() and int(words[1]) < 30:
        return 525
    return 550 if engine == "ollama" else 525


def judge_driver(version: Optional[str], floor: int, expected: bool) -> list[Finding]:
    if version is None:
        return (
            [Finding("driver", ERROR, "No NVIDIA driver answers.", "Install it, then run this again.")]
            if expected
            else []
        )
    branch = int(version.split(".")[0]) if version.split(".")[0].isdigit() else 0
    if branch < floor:
        text = f"Driver {version} is older than {floor}, which the engine needs."
        return [Finding("driver", ERROR, text, f"Install driver {floor} or newer and reboot.")]
    return [Finding("driver", OK, version, short=version)]


def judge_fabric(gpus: Sequence[Mapping[str, Any]], running: bool, expected: bool) -> list[Finding]:
    """NVSwitch machines look healthy without their fabric manager, and every CUDA program fails."""
    states = {gpu["fabric"] for gpu in gpus if gpu["usable"] and gpu["fabric"]}
    switched = any("nvswitch" in (gpu["nvlink_peers"] or ()) for gpu in gpus)
    if states == {"completed"}:
        return [Finding("fabric", OK, "NVSwitch fabric completed", short="completed")]
    if running and not states:
        return [Finding("fabric", OK, "nvidia-fabricmanager runs", short="manager runs")]
    if states or switched or expected:
        told = ", ".join(sorted(states)) or "no state"
        return [
            Finding(
                "fabric",
                ERROR,
                f"The NVSwitch fabric is not ready ({told}), nvidia-fabricmanager "
                f"{'runs' if running else 'does not run'}: CUDA will fail.",
                "Install and start nvidia-fabricmanager in the driver's exact version.",
            )
        ]
    return []
