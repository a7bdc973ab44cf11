# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole plans against llama.cpp: nothing "fits" that does not, and nothing lies in RAM that need not."""

from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import devices_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import FULL, PlanRequest, make_plan
from ansible_collections.gguf.fleet.tests.conformance.gpu.fit_params import Case, ask_llama_cpp, model_of

pytestmark = pytest.mark.docker

H20, RTX4090 = 97871, 24564
CUDA = 1024  # what a plan keeps on each card for CUDA itself, and the judge does not count

# Model, cards, their MiB, tokens of a slot, slots.
PLANS = (
    ("minimax-m3", 3, H20, 131072, 1),
    ("deepseek-v3.2", 8, H20, 32768, 4),
    ("glm-4.5", 4, H20, 131072, 1),
    ("qwen3.5-35b-a3b", 2, RTX4090, 131072, 1),
    ("qwen3.5-397b-a17b", 8, H20, 262144, 1),
    ("gemma-4-31b", 2, RTX4090, 32768, 2),
    ("gemma-4-26b-a4b", 1, RTX4090, 65536, 1),
    ("llama-4-scout", 8, RTX4090, 131072, 1),
    ("mimo-v2-flash", 3, H20, 262144, 1),
    ("deepseek-v4-flash", 3, H20, 1048576, 1),
    ("granite-4.0-h-small", 2, RTX4090, 8192, 16),
    ("nemotron-3-nano-30b-a3b", 2, RTX4090, 8192, 32),
    ("kimi-linear-48b-a3b", 2, RTX4090, 8192, 32),
)


def planned(name, cards, mib, context, slots):
    gpus = devices_from_facts([{"name": "card", "memory_total_mib": mib, "count": cards}])
    request = PlanRequest(engine="llama_cpp", num_ctx=context, num_parallel=slots, flash_attention=True, full_only=True)
    return make_plan(model_of(name), gpus, request)


def questions(row):
    """The plan itself, its largest context, the fewest cards, and one card less."""
    name, cards, mib, context, slots = row
    plan = planned(*row)
    asked = {"plan": (context, cards)}
    if plan.fits:
        asked["largest"] = (plan.largest_num_ctx, cards)
        asked["fewest"] = (context, plan.fewest_gpus)
        asked["fewer"] = (context, plan.fewest_gpus - 1)
    found = {}
    for words, (tokens, count) in asked.items():
        if count:
            split = planned(name, count, mib, tokens, slots).layout.split
            found[words] = Case(name, tokens, slots, split=split)
    return found


@pytest.fixture(scope="module")
def answers(judge, tmp_path_factory):
    asked = {row: questions(row) for row in PLANS}
    every = list(dict.fromkeys(case for own in asked.values() for case in own.values()))
    real = ask_llama_cpp(judge, tmp_path_factory.mktemp("plans"), every)
    return {row: {words: (case, real[case]) for words, case in own.items()} for row, own in asked.items()}


def fullest(case, answer):
    """MiB of the card that has most, with what CUDA takes."""
    held = (answer[f"RPC{number}"] for number in range(len(case.split)))
    return max(numbers.weights + numbers.kv + numbers.compute for numbers in held) + CUDA


@pytest.mark.parametrize("row", PLANS, ids=lambda row: f"{row[0]}-{row[1]}x{row[2]}-{row[3]}x{row[4]}")
def test_a_plan_fits_where_llama_cpp_says_so(answers, row):
    plan, said = planned(*row), answers[row]
    usable = plan.layout.shares[0].device.usable_bytes / 1024**2
    if not plan.fits:
        assert fullest(*said["plan"]) > usable * 0.95, "it does not fit, and would with 5 % to spare"
        return
    assert plan.mode == FULL
    for words in ("plan", "largest", "fewest"):
        assert fullest(*said[words]) <= usable * 1.01, f"{words}: fits, and does not"
    if "fewer" in said:
        assert fullest(*said["fewer"]) > usable * 0.95, "a card less would do with 5 % to spare"
