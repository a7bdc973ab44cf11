# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""gguf_plan as a module: from a header's facts and the GPUs that gpu_info tells."""

from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.tests.builders.models import deepseek_r1

TWO_4090 = [{"name": "RTX 4090", "memory_total_mib": 24564, "count": 2}]


@pytest.fixture(scope="module")
def facts():
    return deepseek_r1("Q2_K_XL").facts()


def test_what_gpu_info_tells_is_what_the_plan_takes(run_module, nvml_environment, facts):
    gpus = run_module("gpu_info", {}, nvml_environment("h20x8"))["gpus"]
    plan = run_module(
        "gguf_plan", {"gguf": facts, "gpus": gpus, "engine_version": "0.5.7", "num_ctx": 2048}, check=True
    )["plan"]
    assert (plan["mode"], plan["layers_on_gpu"]) == ("full", 62)
    assert [gpu["uuid"] for gpu in plan["per_device"]] == [gpu["uuid"] for gpu in gpus]
    assert plan["ollama"]["environment"]["CUDA_VISIBLE_DEVICES"] == ",".join(gpu["uuid"] for gpu in gpus)
    assert len(plan["table"]) == 1 + 8 + 1


def test_a_lost_gpu_is_left_out_of_the_plan(run_module, nvml_environment, facts):
    gpus = run_module("gpu_info", {}, nvml_environment("broken"))["gpus"]
    plan = run_module("gguf_plan", {"gguf": facts, "gpus": gpus, "num_ctx": 2048})["plan"]
    assert [gpu["index"] for gpu in plan["per_device"]] == [0, 2]
    assert any("GPU 2 is partly taken by other programs" in text for text in plan["warnings"])


def test_a_lock_and_a_description_of_cards_answer_what_if(run_module, facts):
    result = run_module(
        "gguf_plan",
        {"lock": {"gguf": facts}, "gpus": TWO_4090, "num_ctx": 2048, "offload": "full", "engine_version": "0.5.7"},
    )
    assert (result["rc"], result["changed"], result["plan"]["fits"]) == (0, False, False)
    assert "its largest term is the weights" in result["plan"]["reason"]


def test_hosts_of_a_group_get_one_quant(run_module, facts):
    candidates = [
        {"quant": "Q2_K_XL", "gguf": facts},
        {"quant": "IQ1_S", "gguf": deepseek_r1("IQ1_S").facts()},
    ]
    hosts = [
        {"name": f"h20-0{number}", "gpus": [{"memory_total_mib": 97871, "count": count}]}
        for number, count in ((1, 8), (2, 2))
    ]
    result = run_module("gguf_plan", {"candidates": candidates, "hosts": hosts, "num_ctx": 2048})
    assert (result["quant"], sorted(result["plans"])) == ("IQ1_S", ["h20-01", "h20-02"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"lock": {"files": []}, "gpus": TWO_4090}, "has no gguf facts"),
        ({"gguf": {"name": "X"}, "gpus": TWO_4090}, "have no block_count"),
        ({"gguf": {}, "candidates": [], "gpus": TWO_4090}, "mutually exclusive"),
        ({"candidates": [], "gpus": TWO_4090}, "list of candidates is empty"),
        (
            {"gguf": {"block_count": 1, "embedding_length": 1, "head_count": 1, "size_bytes": 1}, "gpus": [{}]},
            "memory of GPU 0",
        ),
    ],
)
def test_a_question_that_cannot_be_answered_says_what_is_missing(run_module, arguments, words):
    result = run_module("gguf_plan", arguments)
    assert result["failed"]
    assert words in result["msg"]


def test_several_models_are_planned_in_one_run_each_for_hosts_of_its_own(run_module, facts):
    candidates = [{"quant": "big", "gguf": facts}]
    both = [{"name": "a", "gpus": TWO_4090, "ram_bytes": 1 << 40}, {"name": "b", "gpus": TWO_4090}]
    models = [
        {"name": "r1", "lock_name": "org/r1:big", "candidates": candidates, "hosts": both},
        {"name": "coder", "candidates": candidates, "hosts": both[1:]},
    ]
    result = run_module("gguf_plan", {"models": models, "num_ctx": 2048})
    assert [one["item"]["name"] for one in result["results"]] == ["r1", "coder"]
    assert [list(one["plans"]) for one in result["results"]] == [["a", "b"], ["b"]]
    for model, one in zip(models, result["results"]):
        alone = {name: model[name] for name in ("candidates", "hosts")}
        single = run_module("gguf_plan", {**alone, "num_ctx": 2048})
        assert (one["plans"], one["quant"]) == (single["plans"], single["quant"])


def test_of_several_models_the_one_that_cannot_be_planned_is_named(run_module, facts):
    good = {"name": "r1", "candidates": [{"quant": "q", "gguf": facts}], "hosts": [{"name": "a", "gpus": TWO_4090}]}
    result = run_module("gguf_plan", {"models": [good, {**good, "name": "coder", "candidates": []}]})
    assert result["msg"].startswith("coder: The list of candidates is empty")
