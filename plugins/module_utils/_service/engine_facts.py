# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a host has of an engine, and what stands in its way: one look before anything is changed."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._build import machine
from ansible_collections.gguf.fleet.plugins.module_utils._engine import holes
from ansible_collections.gguf.fleet.plugins.module_utils._host import graphics
from ansible_collections.gguf.fleet.plugins.module_utils._install import engines, foreign, record, zstd
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service import adoption, manager, ours, ports
from ansible_collections.gguf.fleet.plugins.module_utils._service.uptime import running

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# The part of a remedy that an engine's users know: how its address is set.
_OTHER_PORT = {
    "ollama": "Stop it, or give Ollama another port with ollama_host. No server of Ollama was changed.",
    "llama_cpp": "Stop it, or give the server another port in llama_cpp_servers.",
}


@dataclass(frozen=True)
class Question:
    """What is looked for, as the options of engine_info say it.

    services: by name, the addresses (C(address:port)) that each is going to listen on. private: by the setting that
    gives it, an address that only a private network may reach. prefix: what the names of the engine's services begin
    with. asked_manager: auto, or the one that the inventory wants. command: a program to ask for its version. uses:
    what llama.cpp is going to do here (holes.MODELS, holes.RPC), which a build with known holes for that must not.
    build: the version that is going to be built, if one is.
    """

    engine: engines.Engine
    root: str
    services: Mapping[str, Sequence[str]] = field(default_factory=dict)
    private: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    asked_manager: str = "auto"
    user: str = ""
    command: str = ""
    uses: Sequence[str] = ()
    build: str = ""


def look(question: Question) -> Dict[str, Any]:
    """Plain data. Raises a Problem where something is damaged, or where an address cannot be listened on."""
    engine = question.engine
    detected, reason = manager.detect()
    name = detected if question.asked_manager == "auto" else question.asked_manager
    installed = record.read(engine, question.root)
    ports.refuse_public(question.private)
    version = command_version(engine, question.command)
    if version:
        holes.refuse(version, question.uses)
    undeclared = _undeclared(name, question)
    pid_of = functools.cache(lambda service: manager.manager(name, service).state().pid)
    ports.refuse_taken(question.services, undeclared, pid_of, _OTHER_PORT[engine.name])
    adopted: Dict[str, Any] = {}
    somebody_elses = {"prefix": "", "unit": ""}
    if engine.name == "ollama":
        way = manager.manager(name, engine.name)
        adopted = adoption.read(engine.name, way, adoption.user_of)
        somebody_elses["unit"] = adoption.foreign_unit(way)
        if not installed.current:
            somebody_elses["prefix"] = _foreign_prefix(engine, question.root)
    build = {"build": {**machine.look(), "version": question.build}} if question.build else {}
    return {
        **build,
        "architecture": ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        "manager": name,
        "manager_reason": reason if question.asked_manager == "auto" else f"it was asked for; {reason}",
        "zstd": zstd.can_read(),
        "glibc": glibc(),
        "nvidia": graphics.nvidia_cards(),
        "nvidia_driver": graphics.nvidia_driver(),
        "amd": graphics.amd_cards(),
        "groups": graphics.device_groups(),
        "releases": [{"version": release.version, "sha256": list(release.digests)} for release in installed.releases],
        "current": installed.current or "",
        "previous": installed.previous or "",
        "command_version": version,
        "services": sorted(question.services),
        "running": running([*sorted(question.services), *undeclared], pid_of),
        "undeclared": undeclared,
        "closing": ports.closing(question.services, pid_of),
        "user": adoption.user_of(adopted.get("user") or question.user),
        "adopted": adoption.told(adopted),
        "foreign": somebody_elses,
    }


def glibc() -> str:
    """The version of the C library; empty where it is another one."""
    try:
        told = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""
    return told.rpartition(" ")[2]


def command_version(engine: engines.Engine, command: str) -> str:
    """A command that does not run tells nothing here; installing is what says why."""
    if not command or not os.path.isfile(command):
        return ""
    try:
        return engines.ask_version(engine, command)
    except InstallProblem:
        return ""


def _undeclared(manager_name: str, question: Question) -> List[str]:
    there = ours.services(manager_name, question.prefix) if question.prefix else []
    return [service for service in there if service not in question.services]


def _foreign_prefix(engine: engines.Engine, root: str) -> str:
    """Where install.sh put a version that runs here, to be gone back to."""
    prefix = foreign.adoptable(engine, root)
    return prefix if prefix and command_version(engine, os.path.join(prefix, "bin", engine.program)) else ""
