# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts are drained at once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.turns import borrowers, turn_of, turns


def fleet(**models: list[str]) -> dict[str, Any]:
    """The models of each host."""
    return {"instances": [{"host": host.replace("_", "-"), "models": served} for host, served in models.items()]}


def test_two_hosts_of_one_model_have_different_turns() -> None:
    assert turns(fleet(gpu_1=["r1"], gpu_2=["r1"], gpu_3=["v3"])) == {"gpu-1": 1, "gpu-2": 2, "gpu-3": 1}


def test_a_host_waits_for_all_who_share_a_model_with_it() -> None:
    assert turns(fleet(a=["r1"], b=["v3"], c=["r1", "v3"], d=["r1"])) == {"a": 1, "b": 1, "c": 2, "d": 3}


@pytest.mark.parametrize("hosts", [1, 3, 4, 10, 40])
def test_at_most_a_quarter_of_a_models_hosts_is_drained_but_at_least_one(hosts: int) -> None:
    found = Counter(turns(fleet(**{f"h{number}": ["r1"] for number in range(hosts)})).values())
    assert max(found.values()) == max(1, hosts // 4)


def test_a_host_goes_on_with_what_was_held_back() -> None:
    both = fleet(a=["r1"], b=["r1"])
    assert turn_of(both, "b", {"held": "restart"}) == ["turn 2"]
    assert turn_of(both, "b", {"results": [{"held": "start"}, {"held": "restart"}, {"held": ""}]}) == ["turn 2"]
    assert turn_of(both, "b", {"results": [{"held": "start"}, {"held": ""}]}) == ["start"]
    # What does not serve a model yet is in nobody's way.
    assert turn_of(both, "new", {"held": "restart"}) == turn_of({}, "new", {"held": "restart"}) == ["turn 0"]


def test_what_computes_by_the_gpus_that_a_host_lends_is_found_by_any_of_its_names() -> None:
    def borrowing(*rpc: str) -> dict[str, Any]:
        return {
            "models_engine": "llama_cpp",
            "models_serve": [
                {"name": f"m{number}", "source": {"repo": "o/r", "quant": f"Q{number}"}, "parameters": {"rpc": one}}
                for number, one in enumerate(rpc)
            ],
        }

    hosts: dict[str, Any] = {
        "gw": {"group_names": ["gateway"], "gateway_name": "llm.example.com"},
        "lender": {"llama_cpp_rpc": {"host": "10.0.0.12"}, "ansible_host": "lender.example.com"},
        "head": borrowing("10.0.0.11:50052, 10.0.0.12:50052", "10.0.0.13:50052", "lender:50052"),
        "other": borrowing("10.0.0.12:50053"),
    }
    found = describe_fleet(hosts, {}, {}).as_dict()
    assert [(one["host"], one["server"], one["gateway_server"]) for one in borrowers(found, "lender")] == [
        ("head", "llama-cpp-m0", "head_llama-cpp-m0"),
        ("head", "llama-cpp-m2", "head_llama-cpp-m2"),
    ]
    assert borrowers(found, "head") == []
    del hosts["gw"]
    assert borrowers(describe_fleet(hosts, {}, {}).as_dict(), "lender") == []


def test_without_something_held_back_there_is_no_turn() -> None:
    assert turn_of({}, "a", {"held": "", "changed": True}) == []
    assert turn_of({}, "a", {"changed": False, "skipped": True}) == []
