# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Rules that judge what was seen of a host. They take plain values and give findings; none looks at the host itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

GIB = 1024**3
MIB = 1024**2

OK, WARNING, ERROR = "ok", "warning", "error"

# File systems that copy a file by sharing its blocks.
REFLINK_FILE_SYSTEMS = ("btrfs", "xfs", "bcachefs", "zfs")
NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "lustre", "fuse.sshfs")
ENGINE_PROGRAMS = ("ollama", "llama-server", "llama_server")
LARGEST_SKEW_SECONDS = 30


@dataclass(frozen=True)
class Finding:
    subject: str
    level: str
    text: str
    remedy: str = ""


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
                f"GPU {gpu['index']} has {_mib(gpu['memory_total_bytes']):,} MiB, not {total_mib:,}.",
                "The plan was made for another card: correct fleet_gpus.",
            )
            for gpu in alike
            if total_mib and _mib(gpu["memory_total_bytes"]) < total_mib
        ]
    for gpu in usable:
        found += _health(gpu)
    if not any(finding.level == ERROR for finding in found):
        names = sorted({gpu["name"] or "?" for gpu in usable})
        found.insert(0, Finding("GPUs", OK, f"{len(usable)} × {', '.join(names)}" if usable else "none, none expected"))
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
                f"GPU {gpu['index']}: persistence mode is off, so every start initialises the driver anew.",
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
                    f"{_mib(process['memory_bytes']):,} MiB).",
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
    return [Finding("driver", OK, version)]


def judge_fabric(gpus: Sequence[Mapping[str, Any]], running: bool, expected: bool) -> list[Finding]:
    """NVSwitch machines look healthy without their fabric manager, and every CUDA program fails."""
    states = {gpu["fabric"] for gpu in gpus if gpu["usable"] and gpu["fabric"]}
    switched = any("nvswitch" in (gpu["nvlink_peers"] or ()) for gpu in gpus)
    if states == {"completed"}:
        return [Finding("fabric", OK, "NVSwitch fabric completed")]
    if running and not states:
        return [Finding("fabric", OK, "nvidia-fabricmanager runs")]
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


@dataclass(frozen=True)
class Disk:
    path: str
    free_bytes: int
    file_system: str
    device: int
    present_bytes: int = 0  # already there, of what is needed


def judge_disk(models: Disk, store: Optional[Disk], needed_bytes: int) -> list[Finding]:
    missing = max(needed_bytes - models.present_bytes, 0)
    found = []
    if models.free_bytes < missing:
        found.append(
            Finding(
                "disk",
                ERROR,
                f"{models.path} has {_gib(models.free_bytes)} GiB free and the models need {_gib(missing)} GiB more.",
                "Free space, or name a directory on a larger file system in host_models_dir.",
            )
        )
    else:
        shares = "reflinks" if models.file_system in REFLINK_FILE_SYSTEMS else "no reflinks"
        text = f"{models.path}: {_gib(models.free_bytes)} GiB free on {models.file_system} ({shares})"
        found.append(Finding("disk", OK, text))
    if models.file_system in NETWORK_FILE_SYSTEMS:
        found.append(
            Finding(
                "disk",
                WARNING,
                f"{models.path} is on {models.file_system}: loading takes minutes to hours.",
                "Prefer a local disk, or raise OLLAMA_LOAD_TIMEOUT.",
            )
        )
    if store is not None and store.device != models.device:
        found.append(
            Finding(
                "disk",
                WARNING,
                f"{store.path} is on another file system than {models.path}: no hard links, models are symlinked.",
                "Put both on one file system.",
            )
        )
    return found


def judge_speed(bytes_per_second: Optional[float], needed_bytes: int) -> list[Finding]:
    if not bytes_per_second:
        return []
    text = f"reads {bytes_per_second / MIB:,.0f} MiB/s"
    if needed_bytes:
        text += f"; {_gib(needed_bytes)} GiB load in about {_duration(needed_bytes / bytes_per_second)}"
    return [Finding("disk", OK, text)]


def judge_traverse(user: str, refused: Optional[str]) -> list[Finding]:
    if refused is None:
        return []
    return [
        Finding(
            "disk",
            ERROR,
            f"The service user {user} may not walk through {refused}.",
            "Bind-mount the directory to a place that everybody may reach (mount --bind), and name that place.",
        )
    ]


def judge_ram(total_bytes: int, expected_gib: int) -> list[Finding]:
    # Firmware and kernel keep a few per cent.
    if expected_gib and total_bytes < expected_gib * GIB * 0.93:
        text = f"{_gib(total_bytes)} GiB of RAM, {expected_gib} expected."
        return [Finding("RAM", WARNING, text, "Check for a failed module, or correct fleet_ram_gib.")]
    return [Finding("RAM", OK, f"{_gib(total_bytes)} GiB")]


def judge_page_locking(limit_bytes: int, systemd: bool) -> list[Finding]:
    """Units set their own limit; without systemd the limit of the shell counts."""
    if systemd or limit_bytes < 0:
        return []
    text = f"Only {limit_bytes // 1024:,} KiB may be locked in RAM, and there is no systemd to raise that."
    return [Finding("RAM", WARNING, text, "Start the container with --ulimit memlock=-1, or do not use mlock.")]


def judge_ports(ports: Iterable[int], holders: Mapping[int, str]) -> list[Finding]:
    found = []
    for port in ports:
        holder = holders.get(port)
        if holder is None:
            found.append(Finding("ports", OK, f"{port} is free"))
        elif any(program in holder for program in ENGINE_PROGRAMS):
            found.append(Finding("ports", OK, f"{port} is served by {holder}"))
        else:
            remedy = "Stop that program, or set another port for the engine."
            found.append(Finding("ports", ERROR, f"Port {port} is taken by {holder}.", remedy))
    return found


def judge_time(skew_seconds: Optional[float]) -> list[Finding]:
    if skew_seconds is None:
        return []
    if abs(skew_seconds) > LARGEST_SKEW_SECONDS:
        text = f"The clock is {skew_seconds:+,.0f} s off the controller's: certificates and tokens may be refused."
        return [Finding("time", WARNING, text, "Enable time synchronisation (systemd-timesyncd, chrony).")]
    return [Finding("time", OK, f"{skew_seconds:+.0f} s from the controller")]


def judge_reach(answers: Mapping[str, Optional[str]]) -> list[Finding]:
    """C(answers): the error of each address, None where something answered."""
    return [
        Finding("network", OK, f"{url} answers")
        if error is None
        else Finding(
            "network", ERROR, f"{url}: {error}", "Check the route, the proxy (HTTPS_PROXY) and the certificates."
        )
        for url, error in answers.items()
    ]


def _mib(size_bytes: Optional[int]) -> int:
    return round((size_bytes or 0) / MIB)


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / GIB:,.1f}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def report_lines(hosts: Mapping[str, Sequence[Mapping[str, str]]]) -> list[str]:
    """A fleet's findings as text: a line a host, below it what is not in order."""
    lines = []
    for host, findings in hosts.items():
        errors = [finding for finding in findings if finding["level"] == ERROR]
        warnings = [finding for finding in findings if finding["level"] == WARNING]
        good = "; ".join(f"{finding['subject']} {finding['text']}" for finding in findings if finding["level"] == OK)
        verdict = "NOT READY" if errors else "ready"
        lines.append(f"{host}: {verdict}, {len(errors)} errors, {len(warnings)} warnings. {good}")
        for mark, bad in (("error  ", errors), ("warning", warnings)):
            lines += [f"  {mark} {finding['subject']}: {finding['text']} {finding['remedy']}" for finding in bad]
    return lines
