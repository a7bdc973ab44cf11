# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role models; each is documented in its own file beside this one."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.module_utils._models.choice import (
    candidates_of,
    groups_to_plan,
    pinned_quants,
    to_resolve,
)
from ansible_collections.gguf.fleet.plugins.module_utils._models.declaration import declare, sources
from ansible_collections.gguf.fleet.plugins.module_utils._models.files import destination
from ansible_collections.gguf.fleet.plugins.module_utils._models.judging import plans_judged, plans_to_judge
from ansible_collections.gguf.fleet.plugins.module_utils._models.problem import DeclarationProblem
from ansible_collections.gguf.fleet.plugins.module_utils._models.servers import llama_cpp_servers
from ansible_collections.gguf.fleet.plugins.module_utils._problem import failure
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import masked


def models_declared(entries: Any, catalog: Any, engine: str = "ollama") -> List[Dict[str, Any]]:
    try:
        declared = declare(entries, catalog, engine=engine)
        return [{**model, "source": masked(model["source"])} for model in declared]
    except DeclarationProblem as problem:
        raise AnsibleFilterError(failure(problem)["msg"]) from problem


def models_sources(entries: Any, catalog: Any, choices: Any = None) -> List[Dict[str, Any]]:
    try:
        return sources(entries, catalog, choices)
    except DeclarationProblem as problem:
        raise AnsibleFilterError(failure(problem)["msg"]) from problem


def models_pinned(fleet_sources: Any, locks: Any) -> Dict[str, str]:
    return pinned_quants(fleet_sources, locks)


def models_candidates(fleet_sources: Any, pinned: Any, update: bool = False) -> List[Dict[str, Any]]:
    return to_resolve(fleet_sources, pinned, update)


def models_resolved(results: Any) -> Dict[str, List[Dict[str, Any]]]:
    return candidates_of(results)


def models_groups(hosts: Any, candidates: Any) -> List[Dict[str, Any]]:
    return groups_to_plan(hosts, candidates)


def model_destination(lock: Any, layout: str, models_dir: str) -> str:
    return destination(lock, layout, models_dir)


def models_llama_cpp_servers(
    declared: Any, downloads: Any, host: str, placement: Any, entries: Any = ()
) -> List[Dict[str, Any]]:
    return llama_cpp_servers(declared, downloads, host, placement, entries)


def models_to_judge(planned: Any, locks: Any) -> List[Dict[str, Any]]:
    return plans_to_judge(planned, locks)


def models_judged(planned: Any, plans: Any) -> List[Dict[str, Any]]:
    return plans_judged(planned, plans)


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {
            "models_candidates": models_candidates,
            "models_declared": models_declared,
            "models_groups": models_groups,
            "models_judged": models_judged,
            "models_pinned": models_pinned,
            "models_resolved": models_resolved,
            "models_sources": models_sources,
            "models_to_judge": models_to_judge,
            "model_destination": model_destination,
            "models_llama_cpp_servers": models_llama_cpp_servers,
        }
