# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Plans of llama.cpp put to llama-fit-params, each question once."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Mapping, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.engines import LLAMA_CPP
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.fit_params import (
    HeaderFile,
    Program,
    ask,
    closed_devices,
    key_of,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.judge import (
    JudgeProblem,
    Said,
    arguments,
    fits_whole,
    judged,
    not_judged,
    read_answer,
    used_gpus,
    whole,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.judge_cache import Cache
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem


@dataclass(frozen=True)
class Asked:
    """A plan, what was declared beside it, and the model's header where it has to be read."""

    plan: Mapping[str, Any]
    parameters: Mapping[str, Any]
    lock: Optional[Mapping[str, Any]]
    read_header: Callable[[], HeaderFile]


def judge_plan(asked: Asked, program: Program, cache: Cache, *, stand_ins: bool) -> Dict[str, Any]:
    """The plan with what the engine says of it; with why it says nothing where it cannot be asked.

    With `stand_ins` the plan's GPUs are declared ones. Without, they are the cards of this host.
    """
    plan = asked.plan
    if plan.get("engine") != LLAMA_CPP or "judge" in plan:
        return dict(plan)
    try:
        if asked.lock is None:
            raise JudgeProblem("the model has no lock yet, so its header is not known.", "Resolve it first.")
        gpus = len(used_gpus(plan))
        if stand_ins:
            return judged(plan, _say(asked, program, cache, gpus))
        said = _say(asked, program, cache, 0)
        if gpus and not said.answer.devices:
            return _without_backend(asked, program, cache, gpus)
        found = judged(plan, said)
    except Problem as error:
        return not_judged(plan, str(error))
    bigger = whole(plan, asked.parameters)
    if bigger is None or not found["fits"]:
        return found
    # That it cannot be asked says nothing about the plan.
    with contextlib.suppress(Problem):
        return fits_whole(found, bigger, _say(replace(asked, plan=bigger), program, cache, 0))
    return found


def _without_backend(asked: Asked, program: Program, cache: Cache, gpus: int) -> Dict[str, Any]:
    """This llama.cpp has no backend for the cards, which matters more than any number; or we may not ask the cards."""
    closed = closed_devices()
    if closed:
        words = f"The {gpus} GPUs of this plan were not asked, as {closed[0]} is closed to programs without rights."
    else:
        words = (
            f"llama.cpp (build {program.build}) sees none of the {gpus} GPUs of this plan and would compute on the "
            "CPU: look at llama-server --list-devices, and install a build for these cards."
        )
    plan = {**asked.plan, "warnings": [*asked.plan["warnings"], words]}
    try:
        found = judged(plan, _say(asked, program, cache, gpus))
    except Problem as error:
        found = not_judged(plan, str(error))
    return {**found, "judge": {**found["judge"], "said": f"{words} {found['judge']['said']}"}}


def _say(asked: Asked, program: Program, cache: Cache, stand_ins: int) -> Said:
    settings = arguments(asked.plan, asked.parameters)
    environment: Dict[str, str] = dict(asked.plan["llama_cpp"]["environment"]) if not stand_ins else {}
    key = key_of(program, _identity(asked.lock or {}), settings, environment, stand_ins)
    output = cache.get(key)
    if output is None:
        output = ask(program, asked.read_header(), settings, environment=environment, stand_ins=stand_ins)
        answer = read_answer(output)
        # That it sees no card may change without anything that the key is made of.
        if stand_ins or answer.devices or not used_gpus(asked.plan):
            cache.put(key, output)
    else:
        answer = read_answer(output)
    return Said(answer, program.build, real=not stand_ins)


def _identity(lock: Mapping[str, Any]) -> List[List[object]]:
    return [[file.get("header_sha256") or file["sha256"] or file["url"], file["size_bytes"]] for file in lock["files"]]
