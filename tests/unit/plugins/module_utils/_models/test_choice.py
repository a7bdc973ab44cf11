# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any, Dict

from ansible_collections.gguf.fleet.plugins.module_utils._models.choice import (
    candidates_of,
    groups_to_plan,
    pinned_quants,
    to_resolve,
)

CANDIDATES = {"Q8_0": "R1-Q8_0/*.gguf", "Q4_0": "R1-Q4_0/*.gguf"}
SOURCE: Dict[str, Any] = {
    "lock_name": "r1:auto",
    "source": {"repo": "o/r", "quant": "auto", "pattern": None},
    "candidates": CANDIDATES,
}


def test_the_lock_of_a_name_tells_which_of_its_candidates_was_chosen() -> None:
    lock = {"quant": "Q4_0", "files": [{"path": "R1-Q4_0/R1-Q4_0-00001-of-00002.gguf"}]}
    assert pinned_quants([SOURCE], {"r1:auto": lock}) == {"r1:auto": "Q4_0"}
    assert pinned_quants([SOURCE], {}) == {}
    gone = {"files": [{"path": "R1-IQ1_S/R1-IQ1_S.gguf"}]}
    assert pinned_quants([SOURCE], {"r1:auto": gone}) == {}, "what the catalog has no more is chosen anew"


def test_only_what_is_open_is_asked_of_the_hub_the_best_first() -> None:
    asked = to_resolve([SOURCE], {})
    assert [(one["quant"], one["source"]["pattern"]) for one in asked] == list(CANDIDATES.items())
    assert to_resolve([SOURCE], {"r1:auto": "Q4_0"}) == []
    assert len(to_resolve([SOURCE], {"r1:auto": "Q4_0"}, update=True)) == 2


def test_what_was_resolved_becomes_candidates_in_the_same_order() -> None:
    results = [{"item": one, "lock": {"gguf": {"name": one["quant"]}}} for one in to_resolve([SOURCE], {})]
    assert candidates_of(results) == {
        "r1:auto": [{"quant": "Q8_0", "gguf": {"name": "Q8_0"}}, {"quant": "Q4_0", "gguf": {"name": "Q4_0"}}]
    }


def test_hosts_are_brought_together_by_the_name_that_they_serve() -> None:
    def host(name: str, *models: Dict[str, Any]) -> Dict[str, Any]:
        settings = {"only": {"ollama": [], "llama_cpp": ["0"]}, "versions": {"ollama": "0.5.7", "llama_cpp": ""}}
        return {"name": name, "gpus": [name], "ram_bytes": 1, "environment": {}, "models": list(models), **settings}

    r1 = {"name": "r1", "lock_name": "r1:auto", "engine": "ollama", "parameters": {"num_ctx": 1}}
    cpp = {**r1, "engine": "llama_cpp", "parameters": {"ctx-size": 2}}
    other = {**r1, "name": "other", "lock_name": "o/r:Q4_0"}
    (group,) = groups_to_plan([host("a", r1, other), host("b", cpp)], {"r1:auto": [{"quant": "Q8_0"}]})
    assert (group["name"], group["lock_name"], group["candidates"]) == ("r1", "r1:auto", [{"quant": "Q8_0"}])
    told = [
        (one["name"], one["engine"], one["engine_version"], one["only"], one["parameters"]) for one in group["hosts"]
    ]
    assert told == [("a", "ollama", "0.5.7", [], {"num_ctx": 1}), ("b", "llama_cpp", "", ["0"], {"ctx-size": 2})]
