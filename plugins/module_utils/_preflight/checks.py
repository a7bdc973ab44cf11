# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Rules that judge a host beside its GPUs: plain values in, findings out; none looks at the host itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.certainty import is_known
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import ENGINE_PROGRAMS
from ansible_collections.gguf.fleet.plugins.module_utils._host.mounts import is_shared_kind
from ansible_collections.gguf.fleet.plugins.module_utils._host.sizes import in_gib
from ansible_collections.gguf.fleet.plugins.module_utils._host.users import name_of
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.finding import (
    ERROR,
    GIB,
    MIB,
    OK,
    WARNING,
    Finding,
)

LARGEST_SKEW_SECONDS = 30
OLDEST_PYTHON = (3, 9)
# as which the roles run the engines
ENGINE_USERS = ("ollama", "llama-cpp")


@dataclass(frozen=True)
class Disk:
    path: str
    free_bytes: int
    file_system: str
    mount: str
    reflinks: Optional[bool] = None  # whether a file can share the bytes of another; None when that could not be tried
    present_bytes: int = 0  # already there, of what is needed


def judge_disk(models: Disk, stores: Sequence[Disk], needed_bytes: int) -> list[Finding]:
    missing = max(needed_bytes - models.present_bytes, 0)
    found = []
    free = f"{in_gib(models.free_bytes)} GiB free"
    if models.free_bytes < missing:
        found.append(
            Finding(
                "disk",
                ERROR,
                f"{models.path} has {free} and the models need {in_gib(missing)} GiB more.",
                "Free space, or name a directory on a larger file system in host_models_dir.",
            )
        )
    else:
        sharing = {True: "reflinks", False: "no reflinks", None: "reflinks not tried"}[models.reflinks]
        text = f"{models.path}: {free} on {models.file_system} ({sharing})"
        found.append(Finding("disk", OK, text, short=f"{free}, {models.file_system}"))
    if is_shared_kind(models.file_system):
        found.append(
            Finding(
                "disk",
                WARNING,
                f"{models.path} is on {models.file_system}: loading may take minutes to hours.",
                "Prefer a local disk, or raise OLLAMA_LOAD_TIMEOUT.",
            )
        )
    for store in stores:
        if store.mount != models.mount:
            found.append(
                Finding(
                    "disk",
                    WARNING,
                    f"{store.path} is on another file system ({store.mount}) than {models.path} ({models.mount}): "
                    "no hard links between them, models are symlinked.",
                    "Put both below one mount.",
                )
            )
        else:
            found.append(Finding("disk", OK, f"{store.path} can share the files of {models.path} by hard links"))
    return found


def judge_speed(bytes_per_second: Optional[float], needed_bytes: int) -> list[Finding]:
    if not bytes_per_second:
        return [Finding("disk", OK, "its read speed is not known before a model lies there")]
    speed = f"{bytes_per_second / MIB:,.0f} MiB/s"
    if not needed_bytes:
        return [Finding("disk", OK, f"reads {speed}", short=speed)]
    load = _duration(needed_bytes / bytes_per_second)
    text = f"reads {speed}; {in_gib(needed_bytes)} GiB load in about {load}"
    return [Finding("disk", OK, text, short=f"loads in {load}")]


def judge_traverse(user: str, path: str, refused: Optional[str]) -> list[Finding]:
    if refused is None:
        return []
    return [
        Finding(
            "disk",
            ERROR,
            f"The service user {user} may not walk through {refused} on the way to {path}.",
            f"Mount it where everybody may walk and name that place: mount --bind {path} /srv/models "
            f"(in /etc/fstab: {path} /srv/models none bind 0 0).",
        )
    ]


def judge_ram(total_bytes: int, expected_gib: int) -> list[Finding]:
    # Firmware and kernel keep a few per cent.
    if expected_gib and total_bytes < expected_gib * GIB * 0.93:
        text = f"{in_gib(total_bytes)} GiB of RAM, {expected_gib} expected."
        return [Finding("RAM", WARNING, text, "Check for a failed module, or correct fleet_ram_gib.")]
    return [Finding("RAM", OK, f"{in_gib(total_bytes)} GiB", short=f"{in_gib(total_bytes)} GiB")]


def judge_placement(name: str, plan: Mapping[str, Any]) -> list[Finding]:
    """Whether a model fits on this very host, and what of it stays in RAM (a plan's facts)."""
    host = plan["host"]
    if not plan["fits"]:
        remedy = plan["nearest"] or "Take a smaller quant, or a host with more."
        return [Finding("models", ERROR, f"{name} does not fit. {plan['reason']}", remedy)]
    if not is_known(plan["certainty"]):
        text = f"{name} is not known to fit: {' '.join(plan['certainty']['because'])}"
        return [Finding("models", WARNING, text, "Rehearse it (playbooks/rehearse.yml) before clients depend on it.")]
    keeps = f"{host['total_mib'] / 1024:,.1f} of {host['ram_mib'] / 1024:,.1f} GiB RAM"
    return [Finding("models", OK, f"{name}: {plan['reason']} It takes {keeps}.", short=f"{name} in {keeps}")]


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
            found.append(Finding("ports", OK, f"{port} is free", short=f"{port} free"))
        elif any(name in holder for name in (*ENGINE_PROGRAMS, *ENGINE_USERS)):
            found.append(Finding("ports", OK, f"{port} is served by {holder}", short=f"{port} ours"))
        else:
            remedy = "Stop that program, or set another port for the engine."
            found.append(Finding("ports", ERROR, f"Port {port} is taken by {holder}.", remedy))
    return found


def judge_rights(user_id: int) -> list[Finding]:
    if user_id == 0:
        return [Finding("rights", OK, "root")]
    remedy = "Connect as root, or set ansible_become: true for a user who may become root."
    return [
        Finding("rights", ERROR, f"The tasks run as {name_of(user_id)}, and everything here belongs to root.", remedy)
    ]


def judge_time(skew_seconds: Optional[float], synchronised: Optional[bool]) -> list[Finding]:
    """C(synchronised): what the kernel says of its clock; None when it does not."""
    remedy = "Enable time synchronisation (systemd-timesyncd, chrony)."
    if skew_seconds is not None and abs(skew_seconds) > LARGEST_SKEW_SECONDS:
        text = f"The clock is {skew_seconds:+,.0f} s off the controller's: certificates and tokens may be refused."
        return [Finding("time", WARNING, text, remedy)]
    if synchronised is False:
        return [Finding("time", WARNING, "The clock is not synchronised (the kernel says so).", remedy)]
    near = "" if skew_seconds is None else f"{skew_seconds:+.0f} s from the controller"
    kept = "synchronised" if synchronised else ""
    text = ", ".join(filter(None, (near, kept)))
    return [Finding("time", OK, text, short=kept)] if text else []


def judge_python(version: tuple[int, ...], program: str) -> list[Finding]:
    told = ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        text = f"{program} is Python {told}; 3.9 or newer is needed."
        remedy = "Install a newer one beside it and name it in ansible_python_interpreter."
        return [Finding("Python", ERROR, text, remedy)]
    return [Finding("Python", OK, f"{told}, {program}", short=told)]


@dataclass(frozen=True)
class Way:
    """How an address was reached, or not."""

    error: Optional[str]  # None where something answered
    proxy: Optional[str] = None


def judge_reach(answers: Mapping[str, Way]) -> list[Finding]:
    found = []
    for url, way in answers.items():
        through = f" through the proxy {way.proxy}" if way.proxy else ""
        if way.error is None:
            found.append(Finding("network", OK, f"{url} answers{through}", short="by proxy" if way.proxy else "direct"))
        else:
            remedy = "Check the route, the proxy (HTTPS_PROXY, NO_PROXY) and the certificates."
            found.append(Finding("network", ERROR, f"{url}{through}: {way.error}", remedy))
    return found


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
