# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Lists (maps) that a running HAProxy takes up without a reload."""

from __future__ import annotations

from typing import Dict

from ansible_collections.gguf.fleet.plugins.module_utils._gateway import admin
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines

# A command with its lines fits into one of HAProxy's buffers (16 KiB).
_LINES_AT_ONCE = 50


def entries(text: str) -> Dict[str, str]:
    """The keys and values of a map's file: a line each, the key ends at the first blank."""
    found = {}
    for line in lines(text):
        plain = line.strip()
        if plain and not plain.startswith("#"):
            key, _blank, value = plain.partition(" ")
            found[key] = value.strip()
    return found


def running(socket: str, name: str) -> Dict[str, str]:
    """What the map of this name, as the configuration writes it, holds in the HAProxy that runs."""
    found = {}
    for line in lines(admin.ask(socket, f"show map {name}")):
        # 0x55d0c8a0 key value
        _address, _blank, rest = line.partition(" ")
        key, _blank, value = rest.partition(" ")
        if key:
            found[key] = value
    return found


def take_up(socket: str, name: str, text: str) -> None:
    """Replace all of the map at once: no request meets half of it. Raises AdminProblem."""
    told = admin.ask(socket, f"prepare map {name}")
    version = told.rpartition(":")[2].strip()
    if not version.isdigit():
        raise admin.AdminProblem(f"HAProxy does not take up {name}: {told.strip()}.", "Run again, or reload it.")
    pairs = [f"{key} {value}" for key, value in entries(text).items()]
    for start in range(0, len(pairs), _LINES_AT_ONCE):
        said = admin.ask(socket, f"add map @{version} {name}", pairs[start : start + _LINES_AT_ONCE]).strip()
        if said:
            raise admin.AdminProblem(f"HAProxy refuses a line of {name}: {said}.", "Look at its lines.")
    said = admin.ask(socket, f"commit map @{version} {name}").strip()
    if said:
        raise admin.AdminProblem(f"HAProxy does not take up {name}: {said}.", "Run again, or reload it.")
