# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""All models of a host in one run: each as asked for, whatever becomes of the others, then those that shall go."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple, Union

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import full_name, parse_name
from ansible_collections.gguf.fleet.plugins.module_utils._engine.runners import differing
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import model_run as run
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.loading import keeps_for_ever, parse_keep_alive
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import StaysInMemory
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.store import StoreProblem
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

PRESENT, ABSENT, PRUNED = "present", "absent", "pruned"

Answer = Union[run.Result, Problem]


class Outcome:
    """What came of each model, in their order, and of the removal of the others."""

    def __init__(self, answers: Sequence[Answer], pruned: Optional[Answer] = None) -> None:
        self.answers = tuple(answers)
        self.pruned = pruned

    @property
    def results(self) -> List[run.Result]:
        return [one for one in (*self.answers, self.pruned) if isinstance(one, run.Result)]

    @property
    def problems(self) -> List[Problem]:
        return [one for one in (*self.answers, self.pruned) if isinstance(one, Problem)]


def run_all(state: str, models: Sequence[run.Request], others: run.Request, ledger: Ledger) -> Outcome:
    """Make the models be as asked for.

    Args:
        state: present, absent, or pruned: as present, and those that we made and that are not among them go.
        models: one request each, in this order; with `pruned` one without file and base stays as it is.
        others: the request for those that go; its `keep` is filled in here.
        ledger: what we made on this host.
    """
    answers: List[Answer] = []
    new: Set[Tuple[str, ...]] = set()
    for request in with_rivals(models, ledger):
        try:
            answers.append(_one(state, request, ledger, new))
        except Problem as problem:
            answers.append(_or_restart(request, problem))
    # What failed may be what the others shall make room for, or what they stand in for: look at it first.
    if state != PRUNED or any(isinstance(one, Problem) or one.restart for one in answers):
        return Outcome(answers)
    try:
        hosts = dict.fromkeys(host for one in models for host in (one.host, *one.also_on) if host != others.host)
        keep = [one.name for one in models]
        request = replace(others, keep=keep, other_hosts=tuple(hosts), pinned=_pinned(models))
        return Outcome(answers, run.pruned(request, ledger))
    except Problem as problem:
        return Outcome(answers, _or_restart(others, problem))


def _or_restart(request: run.Request, problem: Problem) -> Answer:
    """What is mended by a restart is none where the caller restarts."""
    if request.restarts and isinstance(problem, StaysInMemory):
        return run.Result(model=request.name or None, restart=problem.server)
    return problem


def _pinned(models: Sequence[run.Request]) -> List[str]:
    return [one.name for one in models if one.keep_alive is not None and _for_ever(one.keep_alive)]


def _for_ever(text: str) -> bool:
    try:
        return keeps_for_ever(parse_keep_alive(text))
    except Problem:
        # Its own model's run says so.
        return False


def with_rivals(models: Sequence[run.Request], ledger: Ledger) -> List[run.Request]:
    """The requests, each with why a server cannot keep it loaded beside an earlier one of the same weights."""
    pinned = _pinned(models)
    loads = {full_name(one.name): one for one in models}
    kept: List[Tuple[str, str, str, Mapping[str, Any]]] = []
    found = []
    for one in models:
        rival = ""
        weights, options = _load_of(one, loads, ledger)
        if weights and one.name in pinned:
            for name, host, other, loaded in kept:
                if (host, other) == (one.host, weights) and (names := differing(loaded, options)):
                    rival = (
                        f"{one.name} and {name} are made of the same weights and differ in {', '.join(names)}, so one "
                        f"server cannot keep both in memory: {name} stays loaded, and {one.name} takes its place "
                        "whenever somebody asks for it. Give them the same, or keep_alive to one of them only."
                    )
                    break
            else:
                kept.append((one.name, one.host, weights, options))
        found.append(replace(one, pinned=pinned, rival=rival))
    return found


def _load_of(
    request: run.Request, loads: Mapping[str, run.Request], ledger: Ledger, depth: int = 0
) -> Tuple[str, Mapping[str, Any]]:
    """The weights, by their digest where it is known, and the parameters, with those of what it is made from."""
    if request.file is not None:
        entry = ledger.lookup(os.path.realpath(request.file))
        return (entry.sha256 if entry is not None else None) or os.path.realpath(request.file), request.parameters
    base = None if request.base is None else loads.get(full_name(request.base))
    if base is None or depth > len(loads):
        return "", request.parameters
    weights, inherited = _load_of(base, loads, ledger, depth + 1)
    return weights, {**inherited, **request.parameters}


def _one(state: str, request: run.Request, ledger: Ledger, new: Set[Tuple[str, ...]]) -> run.Result:
    if state == ABSENT:
        return run.absent(request, ledger)
    if request.file is None and request.base is None:
        parse_name(request.name)
        if state == PRUNED:
            return run.Result(model=request.name)
        raise StoreProblem(f"{request.name} has nothing to be made of.", "Give file or from.")
    if request.check and request.base is not None and parse_name(request.base).folded in new:
        # What it is made from is made in the same run.
        action: Dict[str, object] = {"action": "import", "reason": "what it is made from is not there yet"}
        result = run.Result(actions=({**action, "path": request.base, "size_bytes": 0},), model=request.name)
    else:
        result = run.present(request, ledger)
    if result.actions and not result.before:
        new.add(parse_name(request.name).folded)
    return result
