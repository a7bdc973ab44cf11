# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of a fleet planned as wholes."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.judging import plans_to_judge
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.together import plan_together, plans_together
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan_lines import report_lines
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError

GIB = 2**30
FACTS = {
    "architecture": "llama", "block_count": 16, "context_length": 8192, "embedding_length": 2048, "head_count": 16,
    "head_count_kv": 4, "feed_forward_length": 8192, "vocab_size": 32000,
}  # fmt: skip
CARDS = [{"name": "card", "memory_total_mib": 24564, "count": 2}]


def model(name: str, **more: Any) -> Dict[str, Any]:
    return {"name": name, "source": {"repo": "org/repo", "quant": name}, **more}


def gguf(gib: int) -> Dict[str, Any]:
    return {**FACTS, "name": f"{gib} GiB", "size_bytes": gib * GIB}


def host(*models: Dict[str, Any], **variables: Any) -> Dict[str, Any]:
    serve = {"models_serve": list(models), "fleet_gpus": CARDS, "fleet_ram_gib": 64, **variables}
    return describe_fleet({"h1": serve}, {}, {}).as_dict()["hosts"]["h1"]


def test_both_engines_share_the_cards_of_a_host() -> None:
    value = host(model("a", engine="llama_cpp"), model("b", engine="llama_cpp"), model("c"))
    facts = {"org/repo:a": gguf(10), "org/repo:b": gguf(12), "org/repo:c": gguf(8)}
    plan = plan_together(value, facts)
    assert (list(plan["plans"]), plan["refusals"], plan["warnings"]) == (["a", "b", "c"], [], [])
    assert [question["name"] for question in plans_to_judge(plan["planned"], {})] == ["a", "b"]
    (reason,) = plan_together(value, {**facts, "org/repo:c": gguf(30)})["refusals"]
    assert reason.startswith("c does not fit beside what is always in memory")
    other = plan_together(value, facts, gpus=[{"memory_total_mib": 24564, "index": 0}])
    assert other["refusals"][0].startswith("a and b do not fit together")


def test_a_model_without_facts_or_over_several_hosts_has_no_part_in_it() -> None:
    value = host(model("a", engine="llama_cpp", parameters={"rpc": "10.0.0.2:1"}), model("b"), model("c"))
    assert list(plan_together(value, {"org/repo:a": gguf(1), "org/repo:c": gguf(1)})["plans"]) == ["c"]
    with pytest.raises(GpuError, match="The lock of c has no gguf facts"):
        plan_together(value, {"org/repo:c": {}})


def test_a_model_that_would_get_the_bare_prompt_is_said_before_anything_is_fetched() -> None:
    models = [model("a"), model("b", template="chatml"), model("c", engine="llama_cpp")]
    (warning,) = plan_together(host(*models, ollama_version="0.5.7"), {})["warnings"]
    assert warning.startswith("a has no template, none is known for it, and Ollama 0.5.7")
    assert plan_together(host(*models, ollama_version="0.33.2"), {})["warnings"] == []


def test_ollama_may_be_told_to_hold_one_model_only() -> None:
    value = host(model("a"), model("b"), ollama_environment={"OLLAMA_MAX_LOADED_MODELS": 1})
    (warning,) = plan_together(value, {"org/repo:a": gguf(1), "org/repo:b": gguf(2)})["warnings"]
    assert "It holds one at a time" in warning and "a 1.1 GB, b 2.1 GB" in warning


def test_plans_of_names_become_those_of_hosts_and_say_it_once() -> None:
    value = {"hosts": {"h1": host(model("a", engine="llama_cpp"), model("b", engine="llama_cpp"))}}
    results = [
        {
            "item": {"name": name, "lock_name": f"org/repo:{name}", "candidates": [{"quant": name, "gguf": gguf(40)}]},
            "quant": name,
            "plans": {"h1": {"alone": True}},
        }
        for name in ("a", "b")
    ]
    first, second = plans_together(results, value, ["h1"])
    assert (first["plans"]["h1"]["fits"], second["together"]) == (True, {})
    text = "\n".join(report_lines([first, second]))
    assert text.count("DOES NOT FIT TOGETHER, and site.yml refuses it. a and b do not fit together") == 1
    (roomy,) = plans_together(results[:1], value, ["h1"], {"only": ["0"], "offload": "full"})
    assert roomy["plans"]["h1"]["fits"] is False
