# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The files of a service on its host: what they should be, and which there may be."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from types import ModuleType
from typing import Any, List, Mapping

from ansible_collections.gguf.fleet.plugins.module_utils._service import (
    adoption,
    environment,
    old_script,
    preload,
    run_service,
    supervisord,
    supervisord_program,
    systemd,
)
from ansible_collections.gguf.fleet.plugins.module_utils._service.manager import UNITS, Manager, Systemd
from ansible_collections.gguf.fleet.plugins.module_utils._service.plan import File
from ansible_collections.gguf.fleet.plugins.module_utils._service.values import (
    PRELOAD,
    Service,
    drop_in_path,
    environment_path,
    loads_path,
    unit_path,
)


def wanted(service: Service, manager: Manager, variables: Mapping[str, Any], adopted: Mapping[str, Any]) -> List[File]:
    """All files, with what is in them. Raises ServiceProblem for a value that cannot be written.

    variables: the whole environment; adopted: the settings of an installation from before, to be noted.
    """
    files = _unit(service, manager) if isinstance(manager, Systemd) else _program(service)
    files += _loads(service, manager)
    files.append(File(environment_path(service.name), environment.render(variables), environment.MODE))
    if adopted:
        note = json.dumps(adopted, indent=4, sort_keys=True)
        files.append(File(adoption.note_path(service.name), note, environment.MODE, restart=False))
    return files


def paths(name: str, manager: Manager) -> List[str]:
    """Those that go with the service. What runs it stays: other services may run by it."""
    if isinstance(manager, Systemd):
        unit = [] if adoption.foreign_unit(manager) else [unit_path(UNITS, name)]
        own = [drop_in_path(UNITS, name), loads_path(UNITS, name), *unit]
    else:
        new = [supervisord.program_path(name), supervisord.settings_path(name), supervisord.loads_path(name)]
        own = [*new, *old_script.files(name)]
    return [*own, environment_path(name), adoption.note_path(name)]


def outdated(name: str, manager: Manager) -> List[str]:
    """Those by which an earlier version ran the service."""
    return [] if isinstance(manager, Systemd) or not old_script.is_there(name) else old_script.files(name)


def _unit(service: Service, manager: Systemd) -> List[File]:
    files = [File(drop_in_path(UNITS, service.name), systemd.drop_in(service))]
    # Another installer's unit stays as it is, under our drop-in.
    if not adoption.foreign_unit(manager):
        files.insert(0, File(unit_path(UNITS, service.name), systemd.stub(service)))
    return files


def _loads(service: Service, manager: Manager) -> List[File]:
    """What is loaded at the next start. Where nothing is, there is no file, or one that says so."""
    by_unit = isinstance(manager, Systemd)
    path = loads_path(UNITS, service.name) if by_unit else supervisord.loads_path(service.name)
    if not service.loads and not os.path.lexists(path):
        return []
    list_of = File(path, systemd.loads(service) if by_unit else supervisord.loads(service), restart=False)
    return [File(PRELOAD, _standalone(preload), 0o755, restart=False, stays=True), list_of]


def _program(service: Service) -> List[File]:
    """A new supervisord, and new programs of it, take over at the next start: they are no reason to unload a model.

    They stay where the change is undone: they are what undoes it.
    """
    return [
        File(supervisord.program_path(service.name), supervisord.program(service), restart=False),
        File(supervisord.settings_path(service.name), supervisord.settings(service)),
        File(supervisord.CONFIGURATION, supervisord.configuration(), restart=False, stays=True),
        File(supervisord.RUN_SERVICE, _standalone(run_service), 0o755, restart=False, stays=True),
        File(supervisord.DAEMON, _standalone(supervisord_program), 0o755, restart=False, stays=True),
        File(supervisord.CONTROL, _standalone(supervisord_program), 0o755, restart=False, stays=True),
    ]


def _standalone(program: ModuleType) -> str:
    """The text of a file of this collection as a program of the host, for the Python that runs this."""
    spec = importlib.util.find_spec(program.__name__)
    loader: Any = spec.loader if spec else None
    return f"#!{sys.executable} -I\n{loader.get_source(program.__name__)}"
