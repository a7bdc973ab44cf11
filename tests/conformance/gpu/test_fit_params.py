# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory model against llama.cpp's own accounting (llama-fit-params of Debian forky), device by device."""

from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.across import Member, plan_across
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.architectures import JUDGED
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import devices_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import PlanRequest
from ansible_collections.gguf.fleet.tests.conformance.gpu.fit_params import (
    ALL_FAMILY_CASES,
    CASES,
    FAMILY_CASES,
    MODELS,
    Numbers,
    ask_llama_cpp,
    ask_plan,
    fit_params,
    model_of,
)

pytestmark = pytest.mark.docker

# llama-fit-params prints whole MiB.
ROUNDING = 1


# What is small beside everything else may be off by this much.
SLACK = 64


@pytest.fixture(scope="module")
def llama_cpp(judge, tmp_path_factory):
    return ask_llama_cpp(judge, tmp_path_factory.mktemp("headers"), (*CASES, *FAMILY_CASES))


def check(device: str, real: Numbers, ours: Numbers) -> None:
    assert ours.weights == pytest.approx(real.weights, rel=0.01, abs=ROUNDING), f"weights of {device}"
    assert ours.kv == pytest.approx(real.kv, rel=0.01, abs=ROUNDING), f"KV of {device}"
    assert ours.compute == pytest.approx(real.compute, rel=0.15, abs=SLACK), f"working memory of {device}"
    if device != "Host":
        assert ours.compute >= real.compute * 0.85 - ROUNDING, f"working memory of {device}"


@pytest.mark.parametrize("case", (*CASES, *FAMILY_CASES), ids=str)
def test_the_plan_is_llama_cpps_own_accounting(llama_cpp, case):
    planned = ask_plan(case)
    for device, real in llama_cpp[case].items():
        check(device, real, planned[device])


@pytest.mark.long
def test_the_plan_is_llama_cpps_own_accounting_with_every_context(judge, tmp_path):
    wrong = []
    for case, answer in ask_llama_cpp(judge, tmp_path, ALL_FAMILY_CASES).items():
        planned = ask_plan(case)
        for device, real in answer.items():
            try:
                check(device, real, planned[device])
            except AssertionError as error:
                wrong.append(f"{case}: {str(error).splitlines()[0]}")
    assert not wrong, "\n".join(wrong)


def test_every_architecture_that_counts_as_judged_is_judged():
    assert {model_of(name).architecture for name in MODELS} == JUDGED


def test_flags_for_several_hosts_put_the_layers_where_the_plan_says(judge, tmp_path):
    """A head without a GPU and two workers with one each, on loopback addresses of their own."""
    MODELS["llama3-70b"]().write(tmp_path / "model.gguf")
    gpu = [{"index": 0, "memory_total_mib": 40000}]
    workers = [Member(f"w{number}", f"127.0.0.{number}", devices_from_facts(gpu)) for number in (1, 2)]
    plan = plan_across(
        [("Q4_K_M", model_of("llama3-70b"))],
        [Member("head", "127.0.0.9", []), *workers],
        PlanRequest(engine="llama_cpp", num_ctx=8192, flash_attention=True),
    )
    assert plan["fits"], plan["reason"]
    servers = [(worker["arguments"][1], int(worker["arguments"][3])) for worker in plan["llama_cpp"]["workers"]]
    arguments = ["-m", "model.gguf", *plan["llama_cpp"]["head"]["arguments"]]
    (real,) = fit_params(judge, tmp_path, servers, [arguments])
    for name, ours in zip(("RPC0", "RPC1"), plan["per_device"]):
        assert ours["dense_mib"] == pytest.approx(real[name].weights, rel=0.01, abs=ROUNDING)
        assert ours["kv_mib"] == pytest.approx(real[name].kv, rel=0.01, abs=ROUNDING)
        assert ours["compute_mib"] == pytest.approx(real[name].compute, rel=0.15, abs=ROUNDING)


def test_r1_without_mla_keys_takes_39040_mib_of_cache_at_8192_tokens(llama_cpp):
    case = next(case for case in CASES if (case.model, case.split, case.num_ctx) == ("r1-IQ1_S", (), 8192))
    assert llama_cpp[case]["Host"].kv == 39040
