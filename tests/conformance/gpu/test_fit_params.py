# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory model against llama.cpp's own accounting (llama-fit-params of Debian forky), device by device."""

from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.tests.conformance.gpu.fit_params import CASES, ask_llama_cpp, ask_plan

pytestmark = pytest.mark.docker

# llama-fit-params prints whole MiB.
ROUNDING = 1


@pytest.fixture(scope="module")
def llama_cpp(judge, tmp_path_factory):
    return ask_llama_cpp(judge, tmp_path_factory.mktemp("headers"), CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_plan_is_llama_cpps_own_accounting(llama_cpp, case):
    planned = ask_plan(case)
    for name, real in llama_cpp[case].items():
        ours = planned[name]
        assert ours.weights == pytest.approx(real.weights, rel=0.01, abs=ROUNDING), f"weights of {name}"
        assert ours.kv == pytest.approx(real.kv, rel=0.01, abs=ROUNDING), f"KV of {name}"
        # RAM is not scarce by some hundred MiB: operations that fall back to the CPU are not followed there.
        loose = 256 if name == "Host" else ROUNDING
        assert ours.compute == pytest.approx(real.compute, rel=0.15, abs=loose), f"working memory of {name}"


def test_r1_without_mla_keys_takes_39040_mib_of_cache_at_8192_tokens(llama_cpp):
    case = next(case for case in CASES if (case.model, case.split, case.num_ctx) == ("r1-IQ1_S", (), 8192))
    assert llama_cpp[case]["Host"].kv == 39040
