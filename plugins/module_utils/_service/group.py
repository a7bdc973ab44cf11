# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Services that run one release: changed one after the other, and proven or put back together.

The first one switches the release. What each was before stays in the journal until the last one is proven, so a run
that ends between two of them is put back by the next one as well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, List, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._install import releases
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._service import change, journal
from ansible_collections.gguf.fleet.plugins.module_utils._service.manager import Manager
from ansible_collections.gguf.fleet.plugins.module_utils._service.plan import Action, File
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem

ManagerOf = Callable[[str], Manager]


def unfinished(group: Sequence[str], service: str) -> Optional[journal.Before]:
    """What an earlier run left to be put back of this service. The release goes back with the first one alone."""
    before = journal.read(service)
    return replace(before, root=None) if before and service in group[1:] else before


def version_before(group: Sequence[str], root: str) -> Optional[str]:
    """Which release the services of a group ran before the first one switched it; in check mode nobody has."""
    before = _switched(group, root)
    return before.links[0] if before else releases.current(root)


def carry_out(
    group: Sequence[str],
    actions: Sequence[Action],
    target: change.Target,
    files: Sequence[File],
    manager_of: ManagerOf,
) -> change.Done:
    """As `change.carry_out`, for one service of the group, and for those before it where it fails."""
    manager = manager_of(target.service)
    if target.service not in group:
        return change.carry_out(actions, target, files, manager)
    earlier = group[: group.index(target.service)]
    switched = _switched(group, str(target.root)) if earlier else None
    try:
        return change.carry_out(
            actions,
            target,
            files,
            manager,
            keep=target.service != group[-1],
            links=switched.links if switched else None,
        )
    except ServiceProblem as problem:
        back = _put_back(earlier, manager_of)
        raise ServiceProblem(" ".join([problem.problem, *back]), problem.remedy) from problem


def _switched(group: Sequence[str], root: str) -> Optional[journal.Before]:
    before = journal.read(group[0])
    return before if before and before.root == root else None


def settle(group: Sequence[str], service: str) -> None:
    """After the last one nothing is kept to go back to."""
    if group and service == group[-1]:
        for name in group:
            journal.clear(name)


def _put_back(services: Sequence[str], manager_of: ManagerOf) -> List[str]:
    """A sentence about each that was changed. The release goes back with the first, and then all are restarted."""
    found = []
    kept = {name: before for name in services if (before := journal.read(name))}
    for name, before in kept.items():
        try:
            # Where nothing served before there is nothing to go back to.
            if before.served:
                change.restore(before, manager_of(name))
            if before.served and before.begun:
                manager_of(name).command("restart")
                change.stays_up(manager_of(name))
                found.append(f"{name} was put back and serves again.")
        except (Problem, OSError) as error:
            found.append(f"{name} could not be put back: {error}")
        else:
            journal.write_reasons(name, [])
        journal.clear(name)
    return found
