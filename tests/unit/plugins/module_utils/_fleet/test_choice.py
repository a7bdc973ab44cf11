# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quants that are left to the fleet, and the questions that are put to the plan."""

from __future__ import annotations

from typing import Any, Dict, Optional

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.choice import (
    Choice,
    _one_for_each_lock,
    chosen_before,
    hosts_serving,
    lock_names_to_choose,
    sources_of,
    to_choose,
    unasked_hosts,
)
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import DeclarationProblem
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.questions import plan_questions, preflight_models
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.sources import resolve_entries
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import Fleet

CANDIDATES = {"Q8_0": "R1-Q8_0/*.gguf", "Q4_0": "R1-Q4_0/*.gguf"}
CATALOG = {"r1": {"hub": "modelscope", "repo": "o/r", "quants": {q: {"pattern": p} for q, p in CANDIDATES.items()}}}
AUTO = {"catalog": "r1", "quant": "auto"}
OTHER = {"name": "other", "source": {"repo": "o/s", "quant": "Q4"}}


def locked(path: str) -> Dict[str, Any]:
    return {"r1:auto": {"files": [{"path": path, "size_bytes": 7}], "gguf": {"name": "known"}}}


def value(locks: Optional[Dict[str, Any]] = None, **hosts: Dict[str, Any]) -> Fleet:
    return describe_fleet(hosts or {"a": {"models_serve": [AUTO]}}, CATALOG, locks or {})


def fleet(locks: Optional[Dict[str, Any]] = None, **hosts: Dict[str, Any]) -> Dict[str, Any]:
    return value(locks, **hosts).as_dict()


def test_the_lock_of_a_name_tells_which_of_its_candidates_was_chosen() -> None:
    assert chosen_before(fleet(locked("R1-Q4_0/R1-Q4_0-00001-of-00002.gguf"))) == {"r1:auto": "Q4_0"}
    assert chosen_before(fleet()) == {}
    assert chosen_before(fleet(locked("R1-IQ1_S/R1-IQ1_S.gguf"))) == {}, "what is offered no more is chosen anew"


def test_only_what_is_open_is_asked_of_the_hub_the_best_first() -> None:
    asked = to_choose(value(), ["a"])
    assert [(one["quant"], one["source"]["pattern"]) for one in asked] == list(CANDIDATES.items())
    pinned = value(locked("R1-Q4_0/R1.gguf"))
    assert to_choose(pinned, ["a"]) == []
    assert len(to_choose(pinned, ["a"], update=True)) == 2


def test_a_run_resolves_what_its_own_hosts_serve_with_the_quants_that_were_chosen() -> None:
    both = value(a={"models_serve": [AUTO]}, b={"models_serve": [OTHER]})
    assert [source["lock_name"] for source in sources_of(both, ["b"], {})] == ["o/s:Q4"]
    (chosen,) = sources_of(both, ["a"], {"r1:auto": "Q4_0"})
    assert (chosen["source"]["quant"], chosen["source"]["pattern"]) == ("Q4_0", "R1-Q4_0/*.gguf")
    assert hosts_serving(both.as_dict(), ["r1:auto"]) == ["a"]
    assert sources_of(both, ["localhost"], {}) == [], "Ansible's own one is no host of the inventory"


def test_a_host_is_asked_for_its_gpus_only_when_one_of_its_own_models_is_open() -> None:
    found = fleet(a={"models_serve": [AUTO]}, b={"models_serve": [OTHER]})
    assert lock_names_to_choose(found["hosts"]["a"], found) == ["r1:auto"]
    assert lock_names_to_choose(found["hosts"]["b"], found, True) == []
    pinned = fleet(locked("R1-Q4_0/R1.gguf"))
    assert lock_names_to_choose(pinned["hosts"]["a"], pinned) == []
    assert lock_names_to_choose(pinned["hosts"]["a"], pinned, True) == ["r1:auto"]


def test_hosts_that_were_never_asked_are_named() -> None:
    found = value(
        a={"models_serve": [AUTO], "__host_info": {"gpus": [], "memory_bytes": 1}},
        b={"models_serve": [AUTO]},
        c={"models_serve": [OTHER]},
    )
    assert unasked_hosts(found, to_choose(found, ["a"])) == ["b"]


def test_of_two_names_of_one_lock_the_one_that_holds_less_decides() -> None:
    known = {"l": [{"quant": "Q8_0"}, {"quant": "Q4_0"}]}
    large, small = (Choice(name, "l", quant, ("a",), True) for name, quant in (("x", "Q8_0"), ("y", "Q4_0")))
    assert _one_for_each_lock([large, small], known) == _one_for_each_lock([small, large], known) == [small]


def test_what_is_left_empty_in_a_source_is_left_to_the_module_and_its_token_and_seal_go_along() -> None:
    found = value(a={"models_serve": [AUTO, OTHER]})
    auto, other = resolve_entries(
        found, ["a"], {"r1:auto": "Q4_0"}, {"default": "t", "url": ""}, {"o/s:Q4": {"files": {}}}
    )
    assert auto["source"] == {"hub": "modelscope", "repo": "o/r", "pattern": CANDIDATES["Q4_0"], "token": "t"}
    assert other["source"] == {"hub": "modelscope", "repo": "o/s", "quant": "Q4", "token": "t"}
    assert ("seal" in auto, other["seal"]) == (False, {"files": {}})


def test_hosts_are_brought_together_by_the_name_that_they_serve() -> None:
    told_of = fleet(
        a={
            "models_serve": [{**AUTO, "parameters": {"num_ctx": 1}}, OTHER],
            "ollama_version": "0.5.7",
            "fleet_ram_gib": 1,
        },
        b={
            "models_serve": [{**AUTO, "parameters": {"ctx-size": 2}}],
            "models_engine": "llama_cpp",
            "llama_cpp_gpus": ["0"],
            "__host_info": {"gpus": [{"uuid": "GPU-1"}], "memory_bytes": 3 * 2**20},
        },
    )
    (group,) = plan_questions(told_of, ["a", "b"], {"r1:auto": [{"quant": "Q8_0"}]})
    assert (group["name"], group["lock_name"], group["candidates"]) == ("r1", "r1:auto", [{"quant": "Q8_0"}])
    told = [
        (
            one["name"],
            one["engine"],
            one["engine_version"],
            one["only"],
            one["parameters"],
            one["ram_bytes"],
            one["gpus"],
        )
        for one in group["hosts"]
    ]
    assert told == [
        ("a", "ollama", "0.5.7", [], {"num_ctx": 1}, 2**30, []),
        ("b", "llama_cpp", None, ["0"], {"ctx-size": 2}, 3 * 2**20, [{"uuid": "GPU-1"}]),
    ]


def test_a_size_that_nobody_knows_is_an_error_with_the_ways_to_learn_it() -> None:
    with pytest.raises(DeclarationProblem, match="no lock, and the catalog tells none"):
        plan_questions(fleet(a={"models_serve": [OTHER]}), ["a"])


def test_preflight_plans_what_is_known_and_counts_each_file_once() -> None:
    again = {**AUTO, "name": "twin", "quant": "Q4_0", "catalog": "r1"}
    locks = {"o/r:Q4_0": {"quant": "Q4_0", "files": [{"path": "x", "size_bytes": 7}], "gguf": {"name": "known"}}}
    known = fleet(locks, a={"models_serve": [again, {**again, "name": "second"}, OTHER]})
    assert known["hosts"]["a"]["needed_bytes"] == 7
    told = preflight_models(known["hosts"]["a"]["models"], known["quants"])
    assert [model["name"] for model in told] == ["twin", "second"]


def test_a_password_in_an_address_is_in_the_sources_and_not_in_the_value() -> None:
    entry = {"name": "m", "source": {"repo": "o/s", "quant": "Q4", "endpoint": "https://me:planted@hub.example"}}
    found = value(a={"models_serve": [entry]})
    assert sources_of(found, ["a"], {})[0]["source"]["endpoint"] == "https://me:planted@hub.example"
    assert "planted" not in repr(found.as_dict())
