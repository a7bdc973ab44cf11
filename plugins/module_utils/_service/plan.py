# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""From what a service is to what it should be: a list of plain actions, the same for check mode and for the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._action import sentence
from ansible_collections.gguf.fleet.plugins.module_utils._service.state import State

# What a plan does to clients: streams end, or only something new begins.
CUTS, STARTS = "restart", "start"
MOVED = "it moves from the script of an earlier version to supervisord"


@dataclass(frozen=True)
class File:
    """A file that belongs to the service. A changed one is a reason to restart, unless it says otherwise.

    stays: it belongs to what runs the service, and is not put back with it.
    """

    path: str
    content: str
    mode: int = 0o644
    restart: bool = True
    stays: bool = False


@dataclass(frozen=True)
class Found:
    """A file as it is on the disk."""

    content: str
    mode: int
    owner: Tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Action:
    verb: str  # put back, write, remove, switch, reload, enable, disable, start, stop, restart, wait
    what: str
    reasons: Tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return sentence(self.verb, self.what, reasons=self.reasons)


def plan_started(
    service: str,
    files: Sequence[File],
    found: Mapping[str, Found],
    state: State,
    *,
    current: Optional[str],
    version: Optional[str],
    wrong_links: Sequence[str],
    restart: str,
    pending: Sequence[str],
    follows: bool = False,
    outdated: Sequence[str] = (),
    runs_another: Sequence[str] = (),
) -> List[Action]:
    """current and version: the release that the link names and the one that it should name (None: no release of ours).

    wrong_links: the commands that do not lead to it.

    follows: another service of the same release switches it; current is then what it was before.

    pending: reasons of an earlier run that changed something and could not restart, or was told not to.
    outdated: files by which an earlier version ran the service. They go with its next start, not before.
    runs_another: why the process that runs is not what it should be.
    """
    actions: List[Action] = []
    reasons: List[str] = list(pending)
    units_changed = False
    for file in files:
        now = found.get(file.path)
        if now is not None and now.content == file.content and now.mode == file.mode and now.owner[0] == 0:
            continue
        actions.append(Action("write", file.path))
        if now is None or now.content != file.content:
            units_changed = units_changed or file.path.endswith((".service", ".conf"))
            if file.restart:
                reasons.append(f"{file.path} {'is new' if now is None else 'changed'}")
    moves = [path for path in outdated if path in found]
    if moves and MOVED not in reasons:
        reasons.append(MOVED)
    if not (state.active and restart == "never"):
        actions += [Action("remove", path) for path in moves]
    if version is not None and (current != version or wrong_links):
        why = [f"{current or 'no version'} is the current one"] if current != version else []
        why += [f"{path} did not lead to it" for path in wrong_links]
        actions += [] if follows else [Action("switch", version, tuple(why))]
        if current != version:
            reasons.append(f"version {current or 'none'} -> {version}")
    if current == version:
        reasons += [reason for reason in runs_another if reason not in reasons]
    if units_changed or state.stale:
        actions.append(Action("reload", "the manager's units"))
    if not state.enabled:
        actions.append(Action("enable", service))
    if not state.active:
        actions.append(Action("start", service, ("it is not running",)))
    elif reasons and restart == "never":
        # Said at every run, but it is no change: nothing is going to be done about it.
        actions += [Action("wait", service, tuple(reasons))] if not pending or len(reasons) > len(pending) else []
    elif reasons:
        actions.append(Action("restart", service, tuple(dict.fromkeys(reasons))))
    return actions


def touches(actions: Sequence[Action], in_the_way: Sequence[str] = ()) -> str:
    """CUTS, STARTS, or empty where no process is touched. in_the_way: services that stop before the start."""
    verbs = {action.verb for action in actions}
    if in_the_way or verbs & {"restart", "stop", "put back"}:
        return CUTS
    return STARTS if "start" in verbs else ""


def plan_restarted(service: str, state: State, reasons: Sequence[str]) -> List[Action]:
    """As it is. What does not run stays so."""
    return [Action("restart", service, tuple(reasons))] if state.active else []


def plan_stopped(service: str, state: State, *, starts_at_boot: bool = False) -> List[Action]:
    """starts_at_boot: whether its manager starts it with the host, unless it is told not to."""
    actions = [Action("stop", service)] if state.active else []
    return [*actions, Action("disable", service)] if starts_at_boot and state.known and state.enabled else actions


def plan_absent(service: str, paths: Sequence[str], found: Mapping[str, Found], state: State) -> List[Action]:
    actions = plan_stopped(service, state)
    there = [path for path in paths if path in found]
    # Where the unit stays, it is another installer's, and starts with the host as it did before us.
    if state.known and state.enabled and any(path.endswith(f"/{service}.service") for path in there):
        actions.append(Action("disable", service))
    actions += [Action("remove", path) for path in there]
    if any(path.endswith((".service", ".conf")) for path in there):
        actions.append(Action("reload", "the manager's units"))
    return actions
