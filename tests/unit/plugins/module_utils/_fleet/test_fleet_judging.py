# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans on their way to the judge and back."""

from __future__ import annotations

from functools import cache

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.judging import plans_judged, plans_to_judge
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.across import Member, plan_across
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import devices_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.judge import Said, arguments, judged, read_answer
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import model_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import PlanRequest
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan_lines import report_lines
from ansible_collections.gguf.fleet.tests.builders import models

LOCKS = {"repo:Q4": {"files": ["..."], "seal": {"pieces": "many"}}}
# Two RPC servers, recorded from build 11669 with the settings of the plan below.
ANSWER = b"RPC0 20017 1312 456 \nRPC1 19921 1248 426 \nHost 563 0 192 \n"


def host(name, engine="llama_cpp"):
    return {"name": name, "engine": engine, "parameters": {"ubatch-size": 256}}


@cache
def across():
    card = devices_from_facts([{"memory_total_mib": 40000, "memory_reserved_bytes": 0}])
    members = [Member("a", "10.0.0.1", card), Member("b", "10.0.0.2", card)]
    request = PlanRequest(engine="llama_cpp", num_ctx=8192)
    return plan_across([("Q4", model_from_facts(models.llama3_70b().facts()))], members, request)


def test_declared_models_of_llama_cpp_are_asked_about_without_the_piece_sums():
    model = {**host("big"), "lock_name": "repo:Q4"}
    planned = [{"item": model, "plan": {"n": 1}}, {"item": {**model, "engine": "ollama"}, "plan": {"n": 2}}]
    (question,) = plans_to_judge(planned, LOCKS)
    assert question == {
        "name": "big",
        "plan": {"n": 1},
        "parameters": {"ubatch-size": 256},
        "lock": {"files": ["..."]},
    }
    assert plans_to_judge(planned, {})[0]["lock"] is None


def test_groups_are_asked_about_host_by_host_and_get_their_plans_back():
    group = {"name": "big", "lock_name": "repo:Q4", "hosts": [host("a"), host("b", "ollama")]}
    planned = [{"item": group, "plans": {"a": {"n": 1}, "b": {"n": 2}}, "quant": "Q4"}]
    (question,) = plans_to_judge(planned, LOCKS)
    assert question["name"] == "big/a"
    assert plans_judged(planned, {"big/a": {"n": 3}}) == [{**planned[0], "plans": {"a": {"n": 3}, "b": {"n": 2}}}]
    assert plans_judged(planned, {}) == planned


def test_a_plan_over_several_hosts_is_asked_about_as_one_with_all_of_their_cards():
    group = {"name": "big", "lock_name": "repo:Q4", "candidates": [1], "hosts": [host("a", "ollama"), host("b")]}
    small = {"fits": False, "engine": "ollama"}
    planned = [{"item": group, "plans": {}, "quant": "Q4", "across": across()}]
    question = plans_to_judge([{**planned[0], "plans": {"a": small, "b": small}}], LOCKS)[-1]
    assert question["name"] == "big//across" and question["parameters"] == {}
    words = arguments(question["plan"], question["parameters"])
    assert words[words.index("--tensor-split") + 1] == "41,40" and "--rpc" not in words
    after = judged(question["plan"], Said(read_answer(ANSWER), "11669", real=False))
    (result,) = plans_judged(planned, {"big//across": after})
    assert result["across"]["llama_cpp"] == across()["llama_cpp"]
    text = "\n".join(report_lines([result]))
    assert "By llama-fit-params (build 11669, RPC)" in text and "b GPU 0: weights 20,017" in text
    assert "ggml-rpc-server" in text
