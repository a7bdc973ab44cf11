# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""An engine on a host as a whole: its release or a program that is there, the user of its service, Ollama's store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._action import sentences
from ansible_collections.gguf.fleet.plugins.module_utils._engine import holes
from ansible_collections.gguf.fleet.plugins.module_utils._install import account, change, engines
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import store_directories
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem


@dataclass(frozen=True)
class Wanted:
    """What should be there; None or empty is nobody's matter.

    release: a version of ours. program: whole path of a program that somebody else installed, which is asked for its
    version. user: name, home, comment and groups. store: path, owner and group. uses: what a program of llama.cpp is
    going to do, which one with known holes for that must not.
    """

    engine: engines.Engine
    release: Optional[change.Wanted] = None
    program: str = ""
    user: Optional[Mapping[str, Any]] = None
    store: Optional[Mapping[str, Any]] = None
    uses: Tuple[str, ...] = ()


def present(wanted: Wanted, *, check: bool) -> Dict[str, Any]:
    """Make it so. The result as plain data. Raises a Problem or OSError."""
    result: Dict[str, Any] = {}
    actions: List[str] = []
    diff: Dict[str, str] = {"before": "", "after": ""}
    if wanted.program and not check:
        # A check comes before the package that brings it.
        result["program_version"] = _asked(wanted.engine, wanted.program)
        holes.refuse(result["program_version"], wanted.uses)
    if wanted.release is not None:
        release = wanted.release
        plan, bytes_fetched = change.plan_present(release), 0
        if not check:
            plan, bytes_fetched = change.apply_present(release, plan)
        actions += map(str, plan.actions)
        diff = plan.diff
        result.update(
            version=release.version,
            path=os.path.join(release.root, release.version),
            current=plan.current,
            previous=plan.previous,
            sha256=list(plan.digests),
            bytes_fetched=bytes_fetched,
        )
    actions += _user_present(wanted.user, check) + _store_present(wanted.store, check)
    prepared = "".join(f"{action}\n" for action in actions)
    return {**result, "changed": bool(actions), "actions": actions, "diff": {**diff, "prepared": prepared}}


def _asked(engine: engines.Engine, program: str) -> str:
    try:
        return engines.ask_version(engine, program)
    except Problem as error:
        raise InstallProblem(
            f"{program} --version prints no version.",
            "Run it by hand to see why: another architecture, a missing library, or it is not there.",
        ) from error


def _user_present(given: Optional[Mapping[str, Any]], check: bool) -> List[str]:
    if given is None:
        return []
    wanted = account.Wanted(given["name"], given["home"], given["comment"], tuple(given["groups"]))
    actions = account.plan_present(wanted)
    if actions and not check:
        account.make_present(wanted)
    return actions


def _store_present(given: Optional[Mapping[str, Any]], check: bool) -> List[str]:
    if given is None:
        return []
    owner = store_directories.owner_of(given["owner"], given["group"], check=check)
    outcome = store_directories.present(given["path"], owner, Ledger(), check=check)
    return sentences(outcome.actions)
