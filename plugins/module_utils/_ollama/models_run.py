# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""All models of a host in one run: each as asked for, whatever becomes of the others, then those that shall go."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List, Optional, Sequence, Set, Tuple, Union

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import parse_name
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import model_run as run
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
    for request in models:
        try:
            answers.append(_one(state, request, ledger, new))
        except Problem as problem:
            answers.append(problem)
    # What failed may be what the others shall make room for, or what they stand in for: look at it first.
    if state != PRUNED or any(isinstance(one, Problem) for one in answers):
        return Outcome(answers)
    try:
        hosts = dict.fromkeys(one.host for one in models if one.host != others.host)
        keep = [one.name for one in models]
        return Outcome(answers, run.pruned(replace(others, keep=keep, other_hosts=tuple(hosts)), ledger))
    except Problem as problem:
        return Outcome(answers, problem)


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
