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


def environment_path(name: str) -> str:
    return os.path.join(DIRECTORY, f"{name}.env")


def unit_path(units: str, name: str) -> str:
    return os.path.join(units, f"{name}.service")


def drop_in_path(units: str, name: str) -> str:
    return os.path.join(units, f"{name}.service.d", "gguf-fleet.conf")


@dataclass(frozen=True)
class Service:
    """writable: directories that it writes to; mounts: those that must be mounted before it starts; nvidia: the host
    has NVIDIA cards; hardening: one of HARDENING; start_lock: a file, root's alone, that it waits for before it starts,
    as long as somebody holds the lock on it. Whoever may log in can read all of it: secrets go by the environment.
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
    log_bytes: int = 10 * 2**20
    log_files: int = 5

    @property
    def environment_path(self) -> str:
        return environment_path(self.name)
