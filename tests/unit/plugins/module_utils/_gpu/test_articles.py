# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan against what two published deployments of DeepSeek-R1 saw on real cards (Ollama v0.5.7, context 2048)."""

from __future__ import annotations

from functools import cache

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import devices_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import model_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import PlanRequest, make_plan
from ansible_collections.gguf.fleet.tests.builders.models import deepseek_r1

GIB = 1024**3


@cache
def model(quant):
    return model_from_facts(deepseek_r1(quant).facts())


def h20(count):
    return devices_from_facts(
        [{"name": "H20", "memory_total_mib": 97871, "memory_reserved_bytes": 615 * 1024**2, "count": count}]
    )


def rtx4090(count):
    return devices_from_facts(
        [{"name": "RTX 4090", "memory_total_mib": 24564, "memory_reserved_bytes": 346 * 1024**2, "count": count}]
    )


def plan(quant, devices, **options):
    request = PlanRequest(engine="ollama", engine_version="0.5.7", num_ctx=2048, **options)
    return make_plan(model(quant), devices, request)


def mean_gib(a_plan):
    shares = [share for share in a_plan.layout.shares if share.layers]
    return sum(share.total_bytes for share in shares) / len(shares) / GIB


@pytest.mark.parametrize(("slots", "gib"), [(1, 28.6), (4, 33.7)])
def test_q2_k_xl_takes_about_30_gb_on_each_of_eight_h20(slots, gib):
    found = plan("Q2_K_XL", h20(8), num_parallel=slots)
    assert found.mode == "full"
    assert mean_gib(found) == pytest.approx(gib, rel=0.025)


def test_on_four_h20_each_card_takes_about_double():
    eight, four = plan("Q2_K_XL", h20(8)), plan("Q2_K_XL", h20(4))
    assert four.mode == "full"
    assert mean_gib(four) / mean_gib(eight) == pytest.approx(2.0, abs=0.1)


def test_on_two_h20_q2_k_xl_is_not_wholly_on_the_cards():
    found = plan("Q2_K_XL", h20(2), full_only=True)
    assert not found.fits
    assert "the weights" in found.reason
    assert plan("Q2_K_XL", h20(2)).mode == "some_layers"


def test_prediction_three_h20_hold_q2_k_xl_with_one_slot():
    found = plan("Q2_K_XL", h20(3))
    assert (found.mode, found.fewest_gpus) == ("full", 3)


def test_two_h20_hold_iq1_s():
    assert plan("IQ1_S", h20(2)).mode == "full"


@pytest.mark.parametrize(
    ("layers", "slots", "fits"),
    [(14, 1, True), (16, 1, False), (14, 4, False)],
    ids=["seven blocks a card", "eight blocks a card", "four slots"],
)
def test_iq1_m_on_two_4090_with_238_gib_of_ram(layers, slots, fits):
    found = plan("IQ1_M", rtx4090(2), num_gpu=layers, num_parallel=slots, ram_bytes=238 * GIB)
    assert found.fits is fits
    if fits:
        assert [len(share.layers) for share in found.layout.shares] == [7, 7]
        assert found.layout.shares[0].layers == tuple(range(47, 54)), "v0.5.7 moves the last 14 blocks, no output layer"


def test_the_computed_number_of_layers_is_the_articles_own():
    assert plan("IQ1_M", rtx4090(2), ram_bytes=238 * GIB).layout.ngl == 14


def test_the_same_14_layers_are_13_blocks_and_the_output_in_todays_ollama():
    request = PlanRequest(engine="ollama", engine_version="0.33.0", num_ctx=2048, num_gpu=14, ram_bytes=238 * GIB)
    layers = [
        number for share in make_plan(model("IQ1_M"), rtx4090(2), request).layout.shares for number in share.layers
    ]
    assert layers == list(range(48, 62))


def test_prediction_one_4090_runs_iq1_s_with_few_layers():
    found = plan("IQ1_S", rtx4090(1), ram_bytes=192 * GIB)
    assert found.mode == "some_layers"
    assert 5 <= found.layout.ngl <= 10


def test_the_published_sums_are_met_by_the_headers():
    gib = {quant: model(quant).size_bytes / GIB for quant in ("IQ1_S", "IQ1_M", "IQ2_XXS", "Q2_K_XL")}
    assert gib == pytest.approx({"IQ1_S": 130.60, "IQ1_M": 158, "IQ2_XXS": 183, "Q2_K_XL": 211.03}, rel=0.001)
