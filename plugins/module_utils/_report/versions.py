# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The table that an upgrade and a rollback end with: from which version to which, and who answered."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._report.grid import FAILURE_CHARACTERS, grid, sentence
from ansible_collections.gguf.fleet.plugins.module_utils._report.results import NO_RESULT, Results

_ENGINES: Mapping[str, str] = {"ollama": "Ollama", "llama_cpp": "llama.cpp"}
_NOT_BEGUN = "not begun, since an earlier host failed"


def table(
    names: Sequence[str], variables: Mapping[str, Any], alive: Sequence[str], check: bool = False, back: bool = False
) -> List[str]:
    """Lines to print; none before the last host of the run had its turn or one failed.

    Args:
        names: all hosts of the run, in the order of their turns.
        variables: by host, what its tasks left there; each has only `get`.
        alive: the hosts that did not fail.
        check: whether the run only said what it would do.
        back: whether it was a rollback.
    """
    hosts = {name: Results(variables[name]) for name in names}
    failed = [name for name in names if name not in alive]
    if not failed and not _had_its_turn(hosts[names[-1]]):
        return []
    rows: List[Sequence[str]] = [("host", "engine", "from", "to", "answer")]
    for name, results in hosts.items():
        rows += _rows(name, results, failed=name in failed, check=check)
    told = {name: results.failure() or NO_RESULT for name, results in hosts.items() if name in failed}
    notes = [sentence(f"FAILED: {name}: {words}", FAILURE_CHARACTERS) for name, words in told.items()]
    return [*grid(rows), *notes, *(_after_a_rollback(hosts, failed) if back else ())]


def _had_its_turn(results: Results) -> bool:
    return any(results.get(f"__{engine}_info") for engine in _ENGINES)


def _rows(name: str, results: Results, *, failed: bool, check: bool) -> Iterator[Sequence[str]]:
    engines = [engine for engine in _ENGINES if results.get(f"__{engine}_info")]
    if not engines:
        yield (name, "-", "-", "-", "FAILED" if failed else _NOT_BEGUN)
    for engine in engines:
        before = _before(engine, results)
        after = before if failed else _after(engine, results) or before
        health = _health(engine, results)
        model = health.get("model")
        answer = f"{model} answers" if model else "serves" if health else ""
        if failed:
            answer = "FAILED"
        elif not answer:
            changed = any(one.get("changed") for one in (results.get(f"__{engine}_{what}") for what in _CHANGES))
            answer = "not asked, check mode" if check and changed else "unchanged" if not changed else "not asked"
        yield (name, _ENGINES[engine], before or "none", after or "none", answer)


_CHANGES = ("installed", "served")


def _before(engine: str, results: Results) -> str:
    told = results.get(f"__{engine}_info")
    return str(told.get("current") or told.get("command_version") or "")


def _after(engine: str, results: Results) -> str:
    told = results.get(f"__{engine}_installed")
    return str(told.get("version") or told.get("program_version") or "")


def _health(engine: str, results: Results) -> Dict[str, Any]:
    """What the last start proved; empty where nothing was started."""
    served = results.get(f"__{engine}_served")
    items = served.get("results")
    found = [one.get("health") for one in (items if isinstance(items, list) else [served])]
    return next((dict(one) for one in reversed(found) if one), {})


def _after_a_rollback(hosts: Mapping[str, Results], failed: Sequence[str]) -> List[str]:
    """The hosts whose inventory asks for another version than the one they went back to."""
    again: Dict[str, List[str]] = {}
    for name, results in hosts.items():
        version = _after("ollama", results)
        if version and name not in failed and str(results.variable("ollama_version") or "") != version:
            again.setdefault(version, []).append(name)
    return [
        sentence(f"Set ollama_version: {version} for {', '.join(names)}, or the next run of site.yml upgrades again.")
        for version, names in again.items()
    ]
