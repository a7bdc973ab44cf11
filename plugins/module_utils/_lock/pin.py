# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The sources of a fleet against its lock file: which locks it holds already, which are made, what is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ansible_collections.gguf.fleet.plugins.module_utils._lock import lock_file
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock, difference
from ansible_collections.gguf.fleet.plugins.module_utils._lock.path import url_in
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import Request
from ansible_collections.gguf.fleet.plugins.module_utils._lock.resolve import resolve_all
from ansible_collections.gguf.fleet.plugins.module_utils._lock.seal import apply_seal, keep_known


@dataclass(frozen=True)
class Wanted:
    """One source.

    name: of its lock. source: the fields of a Request. seal: what gguf_seal returned, to be added. optional: whether
    the hub may have nothing of it. read: its lock as another machine, which has the files, read it.
    """

    name: str
    source: Mapping[str, Any]
    token: Optional[str] = None
    seal: Optional[Mapping[str, Any]] = None
    optional: bool = False
    read: Optional[Mapping[str, Any]] = None


@dataclass(frozen=True)
class Pinned:
    """The locks of the sources by name, those that the hubs were asked for, and why there is none of the others.

    before, after: all locks of the file.
    """

    locks: Mapping[str, Mapping[str, Any]]
    asked: Tuple[str, ...]
    problems: Mapping[str, HubProblem]
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def changed(self) -> bool:
        return self.before != self.after


def plan(
    wanted: Sequence[Wanted], path: Optional[str], *, update: bool = False, ca_file: Optional[str] = None
) -> Pinned:
    """The locks of these sources.

    Args:
        wanted: the sources, each under a name of its own.
        path: the lock file; None for none. It is read only.
        update: ask the hubs although the locks are there.
        ca_file: certificates to trust instead of the system's.

    Raises:
        HubProblem: for a lock file that cannot be read. What is wrong with a source is in `problems`.
    """
    before = lock_file.load(path) if path else {}
    locks: Dict[str, Mapping[str, Any]] = {}
    problems: Dict[str, HubProblem] = {}
    requests = _requests(wanted, problems)
    asked = [one for one in wanted if one.name in requests and (update or one.name not in before)]
    of_hubs = [one for one in asked if one.read is None]
    answers = resolve_all([(requests[one.name], one.token) for one in of_hubs], ca_file=ca_file) if of_hubs else []
    resolved = dict(zip([one.name for one in of_hubs], answers))
    resolved.update({one.name: _read(one.read, requests[one.name]) for one in asked if one.read is not None})
    for one in wanted:
        if one.name not in requests:
            continue
        try:
            lock = resolved.get(one.name) or _kept(one.name, requests[one.name], before, str(path))
            if isinstance(lock, HubProblem):
                raise lock
            if one.name in resolved and one.name in before:
                lock = keep_known(before[one.name], lock)
            locks[one.name] = apply_seal(lock, one.seal) if one.seal else lock
        except HubProblem as problem:
            problems[one.name] = problem
    after = {**before, **locks} if path else before
    return Pinned(locks, tuple(one.name for one in asked if one.name in locks), problems, before, after)


def save(pinned: Pinned, path: str) -> None:
    """Write the locks of the sources; those of others that were written meanwhile stay. Raises HubProblem."""
    with lock_file.changing(path):
        lock_file.save(path, {**lock_file.load(path), **pinned.locks})


def refusals(wanted: Sequence[Wanted], pinned: Pinned) -> List[HubProblem]:
    """Why the sources that must be there are not, a problem each."""
    failed = list(dict.fromkeys(one.name for one in wanted if one.name in pinned.problems and not one.optional))
    found = [pinned.problems[name] for name in failed]
    if len(wanted) == 1:
        return found
    return [HubProblem(f"{name}: {one.problem}", one.remedy) for name, one in zip(failed, found)]


def _requests(wanted: Sequence[Wanted], problems: Dict[str, HubProblem]) -> Dict[str, Request]:
    found: Dict[str, Request] = {}
    for one in wanted:
        try:
            if one.name in found or one.name in problems:
                raise HubProblem(f"There are two sources of the name {one.name}.", "Give each a name of its own.")
            found[one.name] = Request(**one.source)
        except HubProblem as problem:
            found.pop(one.name, None)
            problems[one.name] = problem
    return found


def _read(lock: Mapping[str, Any], request: Request) -> Union[Dict[str, Any], HubProblem]:
    """What another machine read of its files: nothing but what was asked for, and below the folder alone."""
    try:
        checked = check_lock(lock)
    except HubProblem as problem:
        return problem
    other = difference(checked, request)
    if other is None and any(file["url"] != url_in(request, file["path"]) for file in checked["files"]):
        other = f"a file outside of {request.path}"
    if other is None:
        return checked
    return HubProblem(f"What was read of {request.shown} is not what was asked for: {other}.", "Read the files again.")


def _kept(name: str, request: Request, locks: Mapping[str, Any], path: str) -> Dict[str, Any]:
    lock = lock_file.checked(locks, name, path)
    other = difference(lock, request)
    if other is not None:
        raise HubProblem(
            f"{path} pins something else under the name {name}: {other} is asked for.",
            "Correct the request, or resolve again with update: true (in roles: models_lock_update: true).",
        )
    return lock
