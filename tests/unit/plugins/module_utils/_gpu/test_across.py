# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from functools import cache

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.across import MOST_GPUS, Member, plan_across
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import devices_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import model_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import PlanRequest
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan_lines import report_lines
from ansible_collections.gguf.fleet.tests.builders.models import deepseek_r1


@cache
def r1(quant):
    return model_from_facts(deepseek_r1(quant, mla=True).facts())


def member(number, mib=97871, count=2):
    described = [
        {"index": index, "uuid": f"GPU-{number}{index}", "name": "H20", "memory_total_mib": mib}
        for index in range(count)
    ]
    return Member(f"h20-0{number}", f"192.0.2.{number}", devices_from_facts(described))


def across(*members, quants=("Q2_K_XL",), **options):
    request = PlanRequest(engine="llama_cpp", num_ctx=8192, **options)
    return plan_across([(quant, r1(quant)) for quant in quants], members, request)


def test_two_hosts_hold_what_none_of_them_holds_alone():
    plan = across(member(1), member(2), member(3))
    assert (plan["fits"], plan["mode"], plan["quant"]) == (True, "full", "Q2_K_XL")
    assert [(gpu["host"], gpu["index"]) for gpu in plan["per_device"]] == [
        ("h20-02", 0),
        ("h20-02", 1),
        ("h20-01", 0),
        ("h20-01", 1),
    ], "RPC devices come before the head's own, and a third host is not needed"
    assert all(gpu["spare_mib"] >= 0 and gpu["layers"] for gpu in plan["per_device"])


def test_the_head_gets_the_flags_and_each_worker_its_server():
    told = across(member(1), member(2))["llama_cpp"]
    assert told["head"]["host"] == "h20-01"
    assert told["head"]["parameters"]["rpc"] == "192.0.2.2:50052"
    assert told["head"]["parameters"]["n-gpu-layers"] == 62
    assert len(told["head"]["parameters"]["tensor-split"].split(",")) == 4
    assert told["head"]["environment"] == {"CUDA_VISIBLE_DEVICES": "GPU-10,GPU-11"}
    assert told["workers"] == [
        {
            "host": "h20-02",
            "program": "ggml-rpc-server",
            "arguments": ["--host", "192.0.2.2", "--port", "50052"],
            "environment": {"CUDA_VISIBLE_DEVICES": "GPU-20,GPU-21"},
        }
    ]


def test_a_head_without_gpus_lends_none_and_says_so():
    told = across(member(1, count=0), member(2), member(3))["llama_cpp"]
    assert told["head"]["environment"] == {"CUDA_VISIBLE_DEVICES": "-1"}
    assert told["head"]["parameters"]["rpc"] == "192.0.2.2:50052,192.0.2.3:50052"


def test_ollama_does_not_reach_other_hosts_so_llama_cpp_is_planned():
    request = PlanRequest(engine="ollama", engine_version="0.5.7", num_ctx=8192, num_gpu=14)
    plan = plan_across([("Q2_K_XL", r1("Q2_K_XL"))], [member(1), member(2)], request)
    assert (plan["engine"], plan["fits"], plan["layers_on_gpu"]) == ("llama_cpp", True, 62)


def test_the_best_quant_that_they_hold_together_is_taken():
    assert across(member(1, count=1), member(2, count=1), quants=("Q2_K_XL", "IQ2_XXS", "IQ1_S"))["quant"] == "IQ2_XXS"


def test_what_they_do_not_hold_together_is_said_by_host_and_term():
    plan = across(member(1, mib=24564), member(2, mib=24564))
    assert not plan["fits"]
    assert plan["reason"].startswith("h20-0")
    assert "its largest term is the weights" in plan["reason"]


def test_more_gpus_than_llama_cpp_takes_are_not_planned():
    plan = across(member(1, count=8), member(2, count=8))
    assert not plan["fits"]
    assert str(MOST_GPUS) in plan["reason"]


def test_the_report_shows_the_table_and_what_runs_where():
    plan = across(member(1), member(2))
    group = {"item": {"name": "r1", "candidates": [{}]}, "quant": "Q2_K_XL", "plans": {}, "across": plan}
    lines = report_lines([group])
    assert lines[0] == "Over the GPUs of h20-01, h20-02 together (llama.cpp RPC):"
    assert any(line.strip().startswith("h20-02 GPU 1 H20") for line in lines)
    assert "  h20-02: CUDA_VISIBLE_DEVICES=GPU-20,GPU-21 ggml-rpc-server --host 192.0.2.2 --port 50052" in lines
    assert any("neither authentication nor encryption" in line for line in lines)
