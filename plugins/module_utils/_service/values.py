# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a service is, whoever keeps it running, and where its files lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Tuple

HARDENING = ("strict", "gpu_safe", "proxy", "off")
DIRECTORY = "/etc/gguf-fleet"
PRELOAD = "/usr/local/lib/gguf-fleet/preload"


def environment_path(name: str) -> str:
    return os.path.join(DIRECTORY, f"{name}.env")


def loads_path(units: str, name: str) -> str:
    """A drop-in of its own: a change of it is no reason to restart."""
    return os.path.join(units, f"{name}.service.d", "gguf-fleet-loads.conf")


def unit_path(units: str, name: str) -> str:
    return os.path.join(units, f"{name}.service")


def drop_in_path(units: str, name: str) -> str:
    return os.path.join(units, f"{name}.service.d", "gguf-fleet.conf")


@dataclass(frozen=True)
class Service:
    """writable: directories that it writes to; mounts: those that must be mounted before it starts; nvidia: the host
    has NVIDIA cards; hardening: one of HARDENING; start_lock: a file, root's alone, that it waits for before it starts,
    as long as somebody holds the lock on it; loads: models of an Ollama that are loaded after each start, by the
    program PRELOAD with these arguments before them: host, port, seconds. Whoever may log in can read all of it:
    secrets go by the environment.
    """

    name: str
    description: str
    command: Tuple[str, ...]
    user: str
    group: str
    home: str
    hardening: str = "gpu_safe"
    writable: Tuple[str, ...] = ()
    mounts: Tuple[str, ...] = ()
    nvidia: bool = False
    start_lock: str = ""
    loads: Tuple[str, ...] = ()
    loads_from: Tuple[str, ...] = ()
    log_bytes: int = 10 * 2**20
    log_files: int = 5

    @property
    def loading(self) -> Tuple[str, ...]:
        """The command that loads them; empty where nothing is to be loaded."""
        return (PRELOAD, *self.loads_from, *self.loads) if self.loads else ()

    @property
    def environment_path(self) -> str:
        return environment_path(self.name)
