# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Carry out the plan for a service, prove that it serves, and put everything back when it does not."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._install import releases
from ansible_collections.gguf.fleet.plugins.module_utils._service import health, process
from ansible_collections.gguf.fleet.plugins.module_utils._service.manager import Manager, last_words
from ansible_collections.gguf.fleet.plugins.module_utils._service.plan import Action, File, Found
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem

PENDING = os.environ.get("GGUF_FLEET_PENDING", "/var/lib/gguf-fleet/pending")
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


def read_files(paths: Sequence[str]) -> Dict[str, Found]:
    found = {}
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as stream:
                found[path] = Found(stream.read(), os.fstat(stream.fileno()).st_mode & 0o7777)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found


def read_pending(service: str) -> List[str]:
    try:
        with open(os.path.join(PENDING, f"{service}.json"), encoding="utf-8") as stream:
            return [str(reason) for reason in json.load(stream)]
    except (FileNotFoundError, ValueError):
        return []


def _write_pending(service: str, reasons: Sequence[str]) -> None:
    write(File(os.path.join(PENDING, f"{service}.json"), json.dumps(list(reasons)) + "\n"))


def _clear_pending(service: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(PENDING, f"{service}.json"))


def write(file: File) -> None:
    """Atomically, with the final mode from the start."""
    directory = os.path.dirname(file.path)
    os.makedirs(directory, 0o755, exist_ok=True)
    handle, new = tempfile.mkstemp(prefix=f".{os.path.basename(file.path)}.", dir=directory)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(file.content)
            os.fchmod(stream.fileno(), file.mode)
        os.replace(new, file.path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        raise


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    # A drop-in directory of ours that is empty now.
    if os.path.dirname(path).endswith(".service.d"):
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(path))


def drain(
    target: Target, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> Tuple[str, ...]:
    """Before a restart: wait until nobody is hurt (drain), or say who is (auto)."""
    wanted = target.wanted
    if wanted is None:
        return ()
    port = health.urlsplit(wanted.url).port or 0
    begun = clock()
    while True:
        reasons = health.busy(wanted.url, wanted.engine, process.clients(port))
        if not reasons:
            return ()
        if target.drain_seconds is None:
            return (f"{target.service} is restarted while it is busy: {'; '.join(reasons)}",)
        if clock() - begun >= target.drain_seconds:
            raise ServiceProblem(
                f"{target.service} is still busy after {target.drain_seconds:.0f} s: {'; '.join(reasons)}. "
                "Nothing was changed.",
                "Run again later, raise the limit, or restart without waiting (restart: auto).",
            )
        sleep(BUSY_POLL_SECONDS)


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
    version = health.wait_for_answer(target.wanted, manager.state, manager.log_tail)
    try:
        proven = health.generate(target.wanted, dict(before))
    except ServiceProblem as problem:
        raise ServiceProblem(problem.problem + last_words(manager.log_tail), problem.remedy) from problem
    return health.Health(version, proven.model, proven.gpu_share)


def _shares_before(wanted: Optional[health.Wanted], switches: bool) -> Dict[str, float]:
    """Where the models lie that are in memory.

    Before another version takes over, the declared model is loaded if it is not: what it has on the GPUs now is what
    the new version is measured by.
    """
    if wanted is None or wanted.engine != "ollama":
        return {}
    found = health.shares(wanted.url)
    if switches and wanted.models:
        with contextlib.suppress(ServiceProblem):  # a server that does not answer is what the new version may repair
            health.generate(dataclasses.replace(wanted, gpus=False), {})
        found = {**found, **health.shares(wanted.url)}
    return found


def carry_out(actions: Sequence[Action], target: Target, files: Sequence[File], manager: Manager) -> Done:
    """Do it all or put it all back: a service that served before serves again when this raises."""
    starts = [action for action in actions if action.verb in ("start", "restart")]
    served = manager.state().active
    warnings = drain(target) if served and any(action.verb == "restart" for action in actions) else ()
    switches = any(action.verb == "switch" for action in actions)
    before = _shares_before(target.wanted, switches) if served and starts else {}
    waits = [reason for action in actions if action.verb in ("restart", "wait") for reason in action.reasons]
    if waits:
        # First of all: should this run end here, the next one knows that a restart is due.
        _write_pending(target.service, waits)
    old = read_files([action.what for action in actions if action.verb in ("write", "remove")])
    links = (_linked(target, releases.CURRENT), _linked(target, releases.PREVIOUS))
    by_path = {file.path: file for file in files}
    try:
        for action in actions:
            _do(action, target, by_path, manager)
        proven = _prove(target, manager, before) if starts else health.Health()
    except ServiceProblem as problem:
        if not served:
            raise ServiceProblem(problem.problem, problem.remedy or f"Look at: {manager.log_command}") from problem
        raise _put_back(problem, actions=actions, target=target, old=old, links=links, manager=manager) from problem
    if starts:
        _clear_pending(target.service)
    return Done(proven, warnings)


def _linked(target: Target, name: str) -> Optional[str]:
    if target.root is None:
        return None
    try:
        return os.path.basename(os.readlink(os.path.join(target.root, name)))
    except OSError:
        return None


def _put_back(
    problem: ServiceProblem,
    *,
    actions: Sequence[Action],
    target: Target,
    old: Mapping[str, Found],
    links: Tuple[Optional[str], Optional[str]],
    manager: Manager,
) -> ServiceProblem:
    back = []
    for action in actions:
        if action.verb == "write":
            found = old.get(action.what)
            if found is None:
                _remove(action.what)
            else:
                write(File(action.what, found.content, found.mode))
            back.append(os.path.basename(action.what))
        elif action.verb == "switch":
            releases.restore(str(target.root), links)
            back.append(f"version {links[0]}")
    what = f"{target.service} was put back ({', '.join(back)})" if back else f"{target.service} was restarted only"
    try:
        manager.command("daemon-reload")
        manager.command("restart")
        _serves_again(target, manager, moved=any(action.verb == "write" for action in actions))
    except ServiceProblem as second:
        return ServiceProblem(
            f"{problem.problem} {what}, and does not serve that way either: {second.problem}",
            f"Look at: {manager.log_command}",
        )
    _clear_pending(target.service)
    return ServiceProblem(
        f"{problem.problem} {what} and serves again.",
        problem.remedy or f"What it said is in the log: {manager.log_command}. The wanted settings were not kept.",
    )


def _serves_again(target: Target, manager: Manager, moved: bool) -> None:
    """With its old settings the service may listen elsewhere, so then it only has to stay up."""
    if target.wanted is not None and not moved:
        # The old version is not the one that the caller wants: any answer will do.
        health.wait_for_answer(dataclasses.replace(target.wanted, version=None), manager.state, manager.log_tail)
        return
    first = manager.state().restarts
    time.sleep(STAYS_UP_SECONDS)
    now = manager.state()
    if not now.active or now.restarts > first:
        raise ServiceProblem("it does not stay up.", "")
