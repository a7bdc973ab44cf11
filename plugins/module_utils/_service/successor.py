# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A service that takes the place of others of ours: they stop before it starts, and run again when it does not serve.

They are removed by another run, once every service that follows them has been proven.
"""

from __future__ import annotations

from typing import Callable, List, Sequence, TypeVar
from urllib.parse import urlsplit

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._service import change, ports
from ansible_collections.gguf.fleet.plugins.module_utils._service.manager import Manager
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem

ManagerOf = Callable[[str], Manager]
Outcome = TypeVar("Outcome")


def in_the_way(names: Sequence[str], url: str, beside: bool, manager_of: ManagerOf) -> List[str]:
    """Of these services, those that have to stop before another one starts to listen at `url`.

    beside: whether there is memory for both, so that only who holds the address has to go.
    """
    running = {name: state.pid for name in names if (state := manager_of(name).state()).active}
    if not beside:
        return list(running)
    return [name for name, pid in running.items() if pid and ports.is_held_by(urlsplit(url).netloc, pid)]


def in_place_of(names: Sequence[str], manager_of: ManagerOf, work: Callable[[], Outcome]) -> Outcome:
    """Do the work while these services do not run. Where it fails they run again, and the problem says so."""
    stopped: List[str] = []
    try:
        for name in names:
            stopped.append(name)
            manager_of(name).command("stop")
        return work()
    except Problem as problem:
        if not stopped:
            raise
        said = " ".join(_again(name, manager_of(name)) for name in stopped)
        raise ServiceProblem(f"{problem.problem} {said}", problem.remedy) from problem


def _again(name: str, manager: Manager) -> str:
    try:
        manager.command("start")
        change.stays_up(manager)
    except Problem as problem:
        return f"{name}, which ran before, does not start again: {problem.problem}"
    return f"{name}, which ran before, serves again."
