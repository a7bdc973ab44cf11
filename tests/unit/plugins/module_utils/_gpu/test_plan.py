# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
from functools import cache

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import devices_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.engines import rules_for
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.memory import Load
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.min_gpus_report import trial_lines
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import model_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.placement import lay_out, layers_on_gpu
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import PlanRequest, choose, make_plan
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan_lines import report_lines
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError
from ansible_collections.gguf.fleet.tests.builders import models
from ansible_collections.gguf.fleet.tests.conformance.gpu.families import family

GIB = 1024**3


@cache
def r1(quant, mla=True):
    return model_from_facts(models.deepseek_r1(quant, mla=mla).facts())


@cache
def llama():
    return model_from_facts(models.llama3_70b().facts())


def gpus(mib, count):
    return devices_from_facts([{"memory_total_mib": mib, "memory_reserved_bytes": 0, "count": count}])


def cpp(**options):
    return PlanRequest(engine="llama_cpp", **options)


def test_llama_cpp_gets_the_evenest_split_as_counts_of_layers():
    plan = make_plan(llama(), gpus(40000, 2), cpp(num_ctx=8192)).as_facts()
    assert plan["mode"] == "full"
    assert plan["llama_cpp"]["parameters"] == {
        "n-gpu-layers": 81,
        "ctx-size": 8192,
        "parallel": 1,
        "split-mode": "layer",
        "tensor-split": "41,40",
    }
    assert abs(plan["per_device"][0]["total_mib"] - plan["per_device"][1]["total_mib"]) < 700


def test_unequal_gpus_are_filled_in_proportion():
    devices = devices_from_facts(
        [
            {"memory_total_mib": 49140, "memory_reserved_bytes": 0, "index": 0},
            {"memory_total_mib": 24564, "memory_reserved_bytes": 0, "index": 1},
        ]
    )
    shares = make_plan(llama(), devices, cpp(num_ctx=2048)).layout.shares
    assert len(shares[0].layers) == pytest.approx(2 * len(shares[1].layers), abs=4)


@pytest.mark.parametrize("counts", [(40, 41), (1, 80), (27, 27, 27), (3, 50, 20, 8)])
def test_a_split_in_counts_of_layers_comes_out_as_given(counts):
    layout = lay_out(llama(), gpus(100000, len(counts)), Load(num_ctx=2048), rules_for("llama_cpp", None), split=counts)
    assert tuple(len(share.layers) for share in layout.shares) == counts


@pytest.mark.parametrize(
    ("ngl", "output_counts", "layers"),
    [
        (0, True, []),
        (1, True, [61]),
        (14, True, list(range(48, 62))),
        (62, True, list(range(62))),
        (0, False, []),
        (1, False, [60]),
        (14, False, list(range(47, 61))),
        (61, False, list(range(61))),
        (62, False, list(range(62))),
    ],
)
def test_ngl_moves_the_last_layers_by_the_engines_way_of_counting(ngl, output_counts, layers):
    assert layers_on_gpu(61, ngl, output_counts) == layers


def test_experts_go_to_ram_before_whole_layers_do():
    plan = make_plan(r1("Q2_K_XL"), gpus(24564, 2), cpp(num_ctx=8192, ram_bytes=256 * GIB)).as_facts()
    assert plan["mode"] == "experts_on_host"
    moved = plan["llama_cpp"]["parameters"]["n-cpu-moe"]
    assert all(gpu["spare_mib"] >= 0 for gpu in plan["per_device"])
    tighter = cpp(num_ctx=8192, ram_bytes=256 * GIB, host_experts=moved - 1)
    assert not make_plan(r1("Q2_K_XL"), gpus(24564, 2), tighter).fits


def test_one_more_layer_than_planned_would_not_fit():
    request = PlanRequest(engine="ollama", engine_version="0.5.7", num_ctx=2048)
    planned = make_plan(llama(), gpus(24564, 1), request)
    assert planned.mode == "some_layers"
    more = PlanRequest(engine="ollama", engine_version="0.5.7", num_ctx=2048, num_gpu=planned.layout.ngl + 1)
    assert not make_plan(llama(), gpus(24564, 1), more).fits


def test_no_gpu_at_all_is_a_plan_for_the_cpu():
    plan = make_plan(llama(), [], PlanRequest(num_ctx=4096, ram_bytes=64 * GIB)).as_facts()
    assert (plan["fits"], plan["layers_on_gpu"]) == (True, 0)
    assert plan["ollama"]["environment"]["CUDA_VISIBLE_DEVICES"] == "-1"
    assert not make_plan(llama(), [], PlanRequest(num_ctx=4096, ram_bytes=32 * GIB)).fits


def test_what_does_not_fit_names_the_largest_term_and_the_nearest_plan():
    request = PlanRequest(engine_version="0.5.7", num_ctx=16384, num_parallel=4, full_only=True)
    plan = make_plan(r1("IQ1_S", mla=False), gpus(97871, 2), request)
    assert not plan.fits
    assert "the KV cache" in plan.reason
    assert plan.nearest is not None
    assert "num_parallel 1" in plan.nearest


def test_the_largest_context_fits_and_the_next_step_does_not():
    def mode(num_ctx):
        return make_plan(llama(), gpus(24564, 2), cpp(num_ctx=num_ctx, full_only=True))

    largest = mode(2048).largest_num_ctx
    assert mode(largest).fits
    assert not mode(largest + 256).fits


def test_the_fewest_gpus_are_enough_and_one_less_is_not():
    plan = make_plan(r1("Q2_K_XL"), gpus(97871, 8), cpp(num_ctx=8192))
    assert plan.fewest_gpus == 3
    assert not make_plan(r1("Q2_K_XL"), gpus(97871, 2), cpp(num_ctx=8192, full_only=True)).fits


def test_gpus_are_named_by_uuid_for_the_engine():
    devices = devices_from_facts([{"index": 3, "uuid": "GPU-x", "memory_total_bytes": 80 * GIB}])
    plan = make_plan(llama(), devices, PlanRequest(num_ctx=4096, num_parallel=2)).as_facts()
    assert plan["ollama"]["environment"] == {"CUDA_VISIBLE_DEVICES": "GPU-x", "OLLAMA_NUM_PARALLEL": "2"}
    assert plan["ollama"]["parameters"] == {"num_gpu": 81, "num_ctx": 4096, "main_gpu": 0}


def test_memory_of_an_engine_counts_as_free_and_that_of_others_does_not():
    card = {"index": 0, "memory_total_bytes": 24 * GIB, "memory_reserved_bytes": 0}
    engine = {"pid": 1, "name": "/usr/lib/ollama/llama-server", "memory_bytes": 20 * GIB}
    stranger = {"pid": 2, "name": "/usr/bin/python3", "memory_bytes": 5 * GIB}
    (device,) = devices_from_facts([{**card, "processes": [engine, stranger]}])
    assert (device.usable_bytes, device.foreign_bytes) == (19 * GIB, 5 * GIB)
    assert any("other programs" in text for text in make_plan(llama(), [device], PlanRequest()).warnings)


def test_a_missing_gpu_is_refused_with_the_ones_there_are():
    with pytest.raises(GpuError, match="Choose among 0, 2"):
        devices_from_facts(
            [
                {"index": 0, "memory_total_bytes": GIB},
                {"index": 1, "usable": False, "memory_total_bytes": None},
                {"index": 2, "memory_total_bytes": GIB},
            ],
            only=["0", "1"],
        )


def test_gpus_are_chosen_by_index_or_uuid():
    described = [{"index": index, "uuid": f"GPU-{index}", "memory_total_bytes": GIB} for index in range(4)]
    assert [device.index for device in devices_from_facts(described, only=["3", "GPU-1"])] == [1, 3]
    assert len(devices_from_facts(described, only=[])) == 4
    assert devices_from_facts(described, only=["-1"]) == []


def test_one_name_is_one_quant_the_best_that_every_host_holds():
    candidates = [(quant, r1(quant)) for quant in ("Q2_K_XL", "IQ2_XXS", "IQ1_M", "IQ1_S")]
    request = cpp(num_ctx=8192)
    big, small = (gpus(97871, 8), request), (gpus(97871, 2), request)
    assert choose(candidates, {"a": big})[0] == "Q2_K_XL"
    quant, plans = choose(candidates, {"a": big, "b": small})
    assert quant == "IQ2_XXS"
    assert [plan.mode for plan in plans.values()] == ["full", "full"]


def test_each_host_of_a_group_is_planned_with_its_own_settings():
    candidates = [(quant, r1(quant, mla=False)) for quant in ("Q2_K_XL", "IQ1_S")]
    hosts = {"a": (gpus(97871, 3), cpp(num_ctx=2048)), "b": (gpus(97871, 3), cpp(num_ctx=16384))}
    assert choose(candidates, {"a": hosts["a"]})[0] == "Q2_K_XL"
    assert choose(candidates, hosts)[0] == "IQ1_S"


def test_where_no_quant_fits_wholly_the_smallest_one_uses_ram():
    candidates = [(quant, r1(quant)) for quant in ("Q2_K_XL", "IQ1_S")]
    quant, plans = choose(candidates, {"a": (gpus(24564, 2), cpp(num_ctx=4096, ram_bytes=256 * GIB))})
    assert (quant, plans["a"].mode) == ("IQ1_S", "experts_on_host")


def test_an_mla_file_on_an_engine_that_is_too_old_is_warned_of():
    warnings = make_plan(r1("IQ1_S"), gpus(97871, 8), PlanRequest(engine_version="0.5.7")).warnings
    assert any("older than MLA files" in text for text in warnings)


def test_a_plan_takes_less_than_half_a_second_of_a_core():
    model, devices = r1("Q2_K_XL"), gpus(24564, 8)
    request = cpp(num_ctx=8192, ram_bytes=256 * GIB)
    times = []
    for _run in range(3):
        start = time.process_time()
        make_plan(model, devices, request).as_facts()
        times.append(time.process_time() - start)
    assert min(times) < 0.5


def test_a_trial_is_told_a_line_a_number_of_gpus_with_the_plan_beside_it():
    row = {
        "gpus": 4,
        "answered": True,
        "tokens_per_second": 12.34,
        "load_seconds": 60.0,
        "plan_fits": True,
        "error": "",
    }
    rows = [
        {**row, "used_bytes": [60 * GIB, 61 * GIB], "planned_mib": [62000, 62000]},
        {
            **row,
            "gpus": 2,
            "answered": False,
            "plan_fits": False,
            "error": "out of memory",
            "used_bytes": [],
            "planned_mib": [1],
        },
    ]
    assert trial_lines({"h20-01": rows}) == [
        "h20-01:",
        "   4 GPUs: answered, 12.3 tokens/s; 61,440 to 62,464 MiB a card, planned 62,000 (fits)",
        "   2 GPUs: FAILED; ? MiB a card, planned 1 (does not fit)",
        "      out of memory",
        "  Fewest GPUs that answered: 4.",
    ]


def test_the_plans_of_a_fleet_are_told_once_for_hosts_that_are_alike():
    plan = make_plan(llama(), gpus(24564, 2), cpp(num_ctx=2048)).as_facts()
    group = {"item": {"name": "llama", "candidates": [{}]}, "quant": "Q4_K_M", "plans": {"a": plan, "b": plan}}
    lines = report_lines([group])
    assert lines[0] == "a, b:"
    assert "llama Q4_K_M, num_ctx 2048 × 1: fits." in lines[1]
    assert sum("tensor-split=" in line for line in lines) == 1


def test_a_quant_that_was_chosen_for_a_fleet_is_named_first():
    plan = make_plan(llama(), gpus(24564, 2), cpp(num_ctx=2048)).as_facts()
    group = {"item": {"name": "llama", "candidates": [{}, {}]}, "quant": "Q4_K_M", "plans": {"a": plan}}
    assert report_lines([group])[0] == "llama: Best quant for every host: Q4_K_M"
    short = {**group, "plans": {"a": {**plan, "mode": "some_layers"}}}
    assert report_lines([short])[0] == "llama: No quant fits completely on every host; the smallest: Q4_K_M"


H20 = [{"name": "H20", "memory_total_mib": 97871, "count": 8}]


def certainty(name, gpus=(), engine_version=None, **changed):
    facts = {**family(name).facts(), **changed}
    devices = devices_from_facts(list(gpus))
    return make_plan(
        model_from_facts(facts), devices, PlanRequest(engine="llama_cpp", engine_version=engine_version)
    ).as_facts()


def test_a_family_that_tests_compare_with_llama_cpp_is_exact_but_for_what_only_cuda_takes():
    sure = certainty("glm-4.5")["certainty"]
    assert (sure["weights"], sure["kv"], sure["compute"], sure["because"]) == ("exact", "exact", "exact", [])
    sure = certainty("glm-4.5", H20)["certainty"]
    assert (sure["weights"], sure["kv"], sure["compute"]) == ("exact", "exact", "estimated")
    assert "1,024 MiB" in " ".join(sure["because"])


def test_a_family_that_nobody_compared_is_estimated_with_a_margin_that_is_told():
    exact, estimated = certainty("qwen3-32b", H20), certainty("qwen3-32b", H20, architecture="nova")
    assert {estimated["certainty"][part] for part in ("weights", "kv", "compute")} == {"estimated"}
    assert "1 % of the weights" in " ".join(estimated["certainty"]["because"])
    for sure, unsure in zip(exact["per_device"], estimated["per_device"]):
        if unsure["layers"]:
            assert unsure["margin_mib"] > 0 == sure["margin_mib"]
            assert unsure["total_mib"] >= sure["total_mib"] + unsure["margin_mib"] - 2
    assert estimated["refusal"] is None


def test_a_model_that_is_not_understood_is_refused_even_where_it_seems_to_fit():
    plan = certainty("qwen3-32b", H20, unplaced_tensors=["teleport.core"])
    assert plan["fits"]
    assert {plan["certainty"][part] for part in ("weights", "kv", "compute")} == {"unknown"}
    for word in ("not known to fit", "teleport.core", "rehearse", "models_plan", "seems to fit"):
        assert word in plan["refusal"]


def test_what_does_not_fit_is_refused_with_its_reason():
    plan = certainty("glm-4.5", [{"name": "RTX 4090", "memory_total_mib": 24564, "count": 1}])
    assert plan["refusal"] is None  # with its experts in RAM
    model = model_from_facts(family("glm-4.5").facts())
    small = make_plan(model, [], PlanRequest(engine="llama_cpp", ram_bytes=1 << 30)).as_facts()
    assert "does not fit" in small["refusal"] and "models_plan" in small["refusal"]


def test_a_quant_that_only_seems_to_fit_is_passed_over_and_named():
    good = model_from_facts(family("qwen3-32b").facts())
    strange = model_from_facts({**family("qwen3-32b").facts(), "unplaced_tensors": ["teleport.core"]})
    hosts = {"one": (devices_from_facts(H20), PlanRequest(engine="llama_cpp"))}
    quant, plans = choose([("Q8", strange), ("Q4", good)], hosts)
    assert quant == "Q4"
    assert any("Q8" in warning and "not known" in warning for warning in plans["one"].warnings)
