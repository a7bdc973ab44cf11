# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Carry out the plan for a service, prove that it serves, and put everything back when it does not."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_file
from ansible_collections.gguf.fleet.plugins.module_utils._host import processes
from ansible_collections.gguf.fleet.plugins.module_utils._install import releases
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._service import health, journal
from ansible_collections.gguf.fleet.plugins.module_utils._service.journal import Before
from ansible_collections.gguf.fleet.plugins.module_utils._service.manager import Manager
from ansible_collections.gguf.fleet.plugins.module_utils._service.plan import Action, File
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.state import last_words

BUSY_POLL_SECONDS = 5.0
STAYS_UP_SECONDS = 3.0


@dataclass(frozen=True)
class Target:
    """What the plan is carried out on."""

    service: str
    root: Optional[str] = None
    links: Mapping[str, str] = field(default_factory=dict)
    wanted: Optional[health.Wanted] = None
    drain_seconds: Optional[float] = None  # None: do not wait


@dataclass(frozen=True)
class Done:
    health: health.Health
    warnings: Tuple[str, ...]


def write(file: File, owner: Tuple[int, int] = (0, 0)) -> None:
    write_file(
        file.path,
        file.content.encode("utf-8", "surrogateescape"),
        mode=file.mode,
        owner=owner,
        make_parents=True,
    )


def _remove(path: str) -> None:
    remove_file(path)
    # A drop-in directory of ours that is empty now.
    if os.path.dirname(path).endswith(".service.d"):
        with contextlib.suppress(OSError), parent_of(os.path.dirname(path)) as (parent, name):
            os.rmdir(name, dir_fd=parent.fd)


def drain(
    target: Target,
    manager: Manager,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Tuple[str, ...]:
    """Before a restart: wait until nobody is hurt (drain), or say who is (auto)."""
    wanted = target.wanted
    if wanted is None:
        return ()
    endpoint = _endpoint(wanted, manager)
    begun = clock()
    while True:
        reasons = health.busy(endpoint, wanted.engine, processes.clients(endpoint.port))
        if not reasons:
            return ()
        if target.drain_seconds is None:
            return (f"{target.service} is restarted while it is busy: {'; '.join(reasons)}",)
        if clock() - begun >= target.drain_seconds:
            raise ServiceProblem(
                f"{target.service} is still busy after {target.drain_seconds:.0f} s: {'; '.join(reasons)}. "
                "It was not changed.",
                "Run again later, raise the limit, or restart without waiting (restart: auto).",
            )
        sleep(BUSY_POLL_SECONDS)


def _endpoint(wanted: health.Wanted, manager: Manager) -> health.Endpoint:
    return health.endpoint_of(wanted, lambda: manager.state().pid)


def _do(action: Action, target: Target, files: Mapping[str, File], manager: Manager) -> None:
    if action.verb == "write":
        write(files[action.what])
    elif action.verb == "remove":
        _remove(action.what)
    elif action.verb == "switch":
        releases.switch(str(target.root), action.what, target.links)
    elif action.verb == "reload":
        manager.command("daemon-reload")
    elif action.verb in ("enable", "disable", "start", "stop", "restart"):
        manager.command(action.verb)


def _prove(target: Target, manager: Manager, before: Mapping[str, float]) -> health.Health:
    if target.wanted is None:
        return health.Health()
    endpoint = _endpoint(target.wanted, manager)
    version = health.wait_for_answer(target.wanted, endpoint, manager.state, manager.log_tail)
    try:
        proven = health.generate(target.wanted, endpoint, dict(before))
    except ServiceProblem as problem:
        raise ServiceProblem(problem.problem + last_words(manager.log_tail), problem.remedy) from problem
    return health.Health(version, proven.model, proven.gpu_share)


def _shares_before(wanted: Optional[health.Wanted], manager: Manager, switches: bool) -> Dict[str, float]:
    """Where the models lie that are in memory.

    Before another version takes over, the declared model is loaded if it is not: what it has on the GPUs now is what
    the new version is measured by.
    """
    if wanted is None or wanted.engine != "ollama":
        return {}
    endpoint = _endpoint(wanted, manager)
    found = health.shares(endpoint)
    if switches and wanted.models:
        with contextlib.suppress(ServiceProblem):  # a server that does not answer is what the new version may repair
            health.generate(dataclasses.replace(wanted, gpus=False), endpoint, {})
        found = {**found, **health.shares(endpoint)}
    return found


def carry_out(
    actions: Sequence[Action],
    target: Target,
    files: Sequence[File],
    manager: Manager,
    *,
    keep: bool = False,
    links: Optional[Tuple[Optional[str], Optional[str]]] = None,
) -> Done:
    """Do it all or put it all back: a service that served before serves again when this raises.

    keep: what was before stays in the journal, since other services of the change are still to be proven. links: the
    current and the previous release before the change, where another service of it has switched them.
    """
    starts = [action for action in actions if action.verb in ("start", "restart")]
    state = manager.state()
    warnings = drain(target, manager) if state.active and any(action.verb == "restart" for action in actions) else ()
    switches = any(action.verb == "switch" for action in actions)
    shares = _shares_before(target.wanted, manager, switches) if state.active and starts else {}
    by_path = {file.path: file for file in files}
    stays = {file.path for file in files if file.stays}
    touched = [action.what for action in actions if action.verb in ("write", "remove") and action.what not in stays]
    old = journal.read_files(touched)
    before = Before(
        files={path: old.get(path) for path in touched},
        root=target.root if switches or links else None,
        links=links or _links(target.root),
        served=state.active,
        enabled=state.enabled,
        reasons=tuple(journal.read_reasons(target.service)),
    )
    try:
        # First of all: should this run end here, the next one knows what to put back and that a restart is due.
        journal.write(target.service, before)
    except OSError as error:
        raise ServiceProblem(
            f"the state of {target.service} cannot be kept: {error}. It was not changed.",
            "Correct that, then run again.",
        ) from error
    waits = [reason for action in actions if action.verb in ("restart", "wait") for reason in action.reasons]
    try:
        if waits:
            journal.write_reasons(target.service, waits)
        for action in actions:
            if action.verb in ("start", "stop", "restart"):
                before = journal.begin(target.service, before)
            _do(action, target, by_path, manager)
        proven = _prove(target, manager, shares) if starts else health.Health()
    except Exception as error:  # whatever it is, a mistake of ours too: the service is put back
        raise _put_back(_as_problem(error, target.service), before, target, manager) from error
    if not keep:
        journal.clear(target.service)
    if starts:
        journal.write_reasons(target.service, [])
    return Done(proven, warnings)


def recover(before: Before, target: Target, manager: Manager, *, restart: bool) -> Tuple[str, ...]:
    """Put back what a run that ended in the middle had begun to change; the warnings.

    restart: whether the service may be restarted; otherwise that is left for later.
    """
    was_restarted = before.begun and before.served
    warnings = drain(target, manager) if was_restarted and restart and manager.state().active else ()
    try:
        if before.begun and not before.served:
            manager.command("stop")
        restore(before, manager)
        if was_restarted:
            # Kept until it has started: a start that fails is tried again by the next run.
            journal.write_reasons(target.service, ["an earlier run ended before its change was proven"])
    except (Problem, OSError) as error:
        raise _not_restored(_as_problem(error, target.service), target.service) from error
    journal.clear(target.service)
    if was_restarted and restart:
        manager.command("restart")
        journal.write_reasons(target.service, [])
    return warnings


def _links(root: Optional[str]) -> Tuple[Optional[str], Optional[str]]:
    """The versions that are the current and the previous one."""

    def version(name: str) -> Optional[str]:
        try:
            return os.path.basename(os.readlink(os.path.join(str(root), name)))
        except OSError:
            return None

    return (None, None) if root is None else (version(releases.CURRENT), version(releases.PREVIOUS))


def _as_problem(error: Exception, service: str) -> Problem:
    if isinstance(error, Problem):
        return error
    return ServiceProblem(f"{service} cannot be changed: {str(error) or type(error).__name__}.", "")


def restore(before: Before, manager: Manager) -> List[str]:
    """Files, links and the start at boot as they were; what that is, for a message."""
    back = []
    if before.files and not before.enabled:
        state = manager.state()
        if state.known and state.enabled:
            manager.command("disable")
    # What is to go first: on a full disk it makes the room for what comes back.
    for path in sorted(before.files, key=lambda path: before.files[path] is not None):
        found = before.files[path]
        if found is None:
            _remove(path)
        elif journal.read_files([path]).get(path) != found:
            write(File(path, found.content, found.mode), found.owner)
        back.append(os.path.basename(path))
    if before.root is not None and os.path.isdir(before.root) and _links(before.root) != before.links:
        releases.restore(before.root, before.links)
        back.append(f"version {before.links[0]}")
    if back:
        manager.command("daemon-reload")
    return back


def _not_restored(problem: Problem, service: str) -> ServiceProblem:
    return ServiceProblem(
        f"{problem.problem} {service} could not be put back.",
        f"{problem.remedy} What it was before is kept: mend the cause and run again, which puts it back first.".strip(),
    )


def _put_back(problem: Problem, before: Before, target: Target, manager: Manager) -> ServiceProblem:
    if before.begun and not before.served:
        # There is nothing to go back to. It is stopped, or it would go on to crash and hold its memory; the files stay,
        # to be looked at, and the next run starts it again.
        with contextlib.suppress(Problem):
            manager.command("stop")
            if not before.enabled and manager.state().enabled:
                manager.command("disable")
        with contextlib.suppress(OSError):
            journal.write_reasons(target.service, ["its last start was not proven"])
            journal.clear(target.service)
        return ServiceProblem(
            f"{problem.problem} {target.service} is stopped.", problem.remedy or f"Look at: {manager.log_command}"
        )
    try:
        back = restore(before, manager)
    except (Problem, OSError) as second:
        return _not_restored(
            ServiceProblem(f"{problem.problem} {_as_problem(second, target.service).problem}", ""), target.service
        )
    what = f"{target.service} was put back ({', '.join(back)})" if back else f"{target.service} was restarted only"
    if not before.begun:
        journal.write_reasons(target.service, before.reasons)
        journal.clear(target.service)
        return ServiceProblem(
            f"{problem.problem} {what if back else f'{target.service} was not changed'}.",
            problem.remedy or "Run again after that.",
        )
    try:
        manager.command("restart")
        _serves_again(target, manager, moved=bool(before.files))
    except ServiceProblem as second:
        journal.clear(target.service)
        return ServiceProblem(
            f"{problem.problem} {what}, and does not serve that way either: {second.problem}",
            f"Look at: {manager.log_command}",
        )
    journal.write_reasons(target.service, [])
    journal.clear(target.service)
    return ServiceProblem(
        f"{problem.problem} {what} and serves again.",
        problem.remedy or f"What it said is in the log: {manager.log_command}. The wanted settings were not kept.",
    )


def _serves_again(target: Target, manager: Manager, moved: bool) -> None:
    """With its old settings the service may listen elsewhere, so then it only has to stay up."""
    if target.wanted is not None and not moved:
        # The old version is not the one that the caller wants: any answer will do.
        wanted = dataclasses.replace(target.wanted, version=None)
        health.wait_for_answer(wanted, _endpoint(wanted, manager), manager.state, manager.log_tail)
        return
    stays_up(manager)


def stays_up(manager: Manager) -> None:
    """Raises ServiceProblem for a service that ends again at once."""
    first = manager.state().restarts
    time.sleep(STAYS_UP_SECONDS)
    now = manager.state()
    if not now.active or now.restarts > first:
        raise ServiceProblem("it does not stay up.", f"Look at: {manager.log_command}")
