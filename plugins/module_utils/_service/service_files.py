# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The files of a service on its host: what they should be, and which there may be."""

from __future__ import annotations

import json
from typing import Any, List, Mapping

from ansible_collections.gguf.fleet.plugins.module_utils._service import adoption, environment, systemd
from ansible_collections.gguf.fleet.plugins.module_utils._service.manager import SCRIPT, UNITS, Manager
from ansible_collections.gguf.fleet.plugins.module_utils._service.plan import File
from ansible_collections.gguf.fleet.plugins.module_utils._service.values import (
    Service,
    drop_in_path,
    environment_path,
    unit_path,
)


def wanted(
    service: Service,
    manager: Manager,
    variables: Mapping[str, Any],
    adopted: Mapping[str, Any],
    supervisor: str = "",
) -> List[File]:
    """All files, with what is in them. Raises ServiceProblem for a value that cannot be written.

    variables: the whole environment; adopted: the settings of an installation from before, to be noted; supervisor: the
    text of the program that runs services where there is no systemd.
    """
    units = UNITS[manager.name]
    files = [File(drop_in_path(units, service.name), systemd.drop_in(service))]
    # Another installer's unit stays as it is, under our drop-in.
    if not adoption.foreign_unit(manager):
        files.insert(0, File(unit_path(units, service.name), systemd.stub(service)))
    if manager.name == "script":
        # A new one takes over at the next start of the container; it is no reason to unload a model.
        files.append(File(SCRIPT, f"#!/usr/bin/python3\n{supervisor}", 0o755, restart=False))
    files.append(File(environment_path(service.name), environment.render(variables), environment.MODE))
    if adopted:
        note = json.dumps(adopted, indent=4, sort_keys=True)
        files.append(File(adoption.note_path(service.name), note, environment.MODE, restart=False))
    return files


def paths(name: str, manager: Manager) -> List[str]:
    """Those that go with the service. The program that runs it stays: other services may run by it."""
    units = UNITS[manager.name]
    unit = [] if adoption.foreign_unit(manager) else [unit_path(units, name)]
    return [drop_in_path(units, name), environment_path(name), adoption.note_path(name), *unit]
