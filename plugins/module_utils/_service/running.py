# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Whether the process that runs is the program that it should be: files may be right while it is still an old one."""

from __future__ import annotations

import os
from typing import Callable, List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import identity, open_input
from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import as_text
from ansible_collections.gguf.fleet.plugins.module_utils._install import releases
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._service import health
from ansible_collections.gguf.fleet.plugins.module_utils._service.state import State

_ELF = b"\x7fELF"


def program_of(command: Sequence[str], root: Optional[str], version: Optional[str], links: Mapping[str, str]) -> str:
    """The file that the command leads to when its release is the current one."""
    if root and version and command[0] in links:
        return os.path.join(releases.directory(root, version), links[command[0]])
    return command[0]


def reasons(
    state: State, program: str, wanted: Optional[health.Wanted], pid: Callable[[], int], proc: str = "/proc"
) -> List[str]:
    """Why what runs has to be started anew; nothing where it cannot be told, or nothing runs."""
    if not state.active:
        return []
    told = _told_version(wanted, pid)
    if wanted is not None and told and not health.same_version(told, wanted.version):
        return [f"the server that runs is version {told}, not {wanted.version}"]
    if state.pid and _is_another(os.path.join(proc, str(state.pid), "exe"), program):
        return [f"the process that runs is not {program} as it is on the disk"]
    return []


def _told_version(wanted: Optional[health.Wanted], pid: Callable[[], int]) -> str:
    if wanted is None or wanted.engine != "ollama" or not wanted.version:
        return ""
    try:
        endpoint = health.endpoint_of(wanted, pid)
        return as_text(endpoint.json("GET", "/api/version", limit_seconds=health.LOOK_SECONDS).get("version"))
    except Problem:
        # Another address than the one that is wanted now, or a server that hangs: what else is wrong says so.
        return ""


def _is_another(running: str, program: str) -> bool:
    """Scripts run as their interpreter, so only programs of their own can be compared."""
    try:
        wanted = open_input(program)
    except (OSError, PathProblem):
        return False
    try:
        is_program = os.pread(wanted.fd, len(_ELF), 0) == _ELF
        return is_program and identity(os.stat(running)) != identity(os.fstat(wanted.fd))
    except OSError:
        return False
    finally:
        os.close(wanted.fd)
