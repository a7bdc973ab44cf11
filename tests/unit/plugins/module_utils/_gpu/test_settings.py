# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import PlanRequest
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.settings import request_of


def ollama(parameters=None, environment=None, **options):
    return request_of("ollama", None, parameters or {}, environment or {}, options)


def llama_cpp(parameters, **options):
    return request_of("llama_cpp", None, parameters, {}, options)


def test_without_settings_the_request_is_the_default_one():
    assert ollama() == PlanRequest(engine="ollama")
    assert llama_cpp({"temp": 0.6, "top-p": 0.95}) == PlanRequest(engine="llama_cpp")


def test_ollamas_parameters_and_environment_are_read():
    environment = {
        "OLLAMA_NUM_PARALLEL": "4",
        "OLLAMA_KV_CACHE_TYPE": "q8_0",
        "OLLAMA_FLASH_ATTENTION": "1",
        "OLLAMA_CONTEXT_LENGTH": "32768",
        "OLLAMA_LOAD_TIMEOUT": "60m",
    }
    assert ollama({"num_ctx": "8192", "num_gpu": 14, "num_batch": 256, "stop": ["x"]}, environment) == PlanRequest(
        engine="ollama",
        num_ctx=8192,
        num_gpu=14,
        batch=256,
        num_parallel=4,
        key_type="q8_0",
        value_type="q8_0",
        flash_attention=True,
    )
    assert ollama({}, environment).num_ctx == 32768


def test_zeros_and_minus_ones_of_ollama_mean_its_own_choice():
    found = ollama({"num_gpu": -1}, {"OLLAMA_NUM_PARALLEL": "0", "OLLAMA_CONTEXT_LENGTH": ""})
    assert found == PlanRequest(engine="ollama")
    assert ollama({"num_gpu": 0}).num_gpu == 0


def test_llama_cpps_long_options_are_read_and_its_context_is_shared_by_the_slots():
    parameters = {
        "ctx-size": 16384,
        "parallel": 4,
        "n-gpu-layers": 30,
        "n_cpu_moe": "20",
        "tensor-split": "3,2,1",
        "cache-type-k": "q8_0",
        "flash-attn": "off",
        "ubatch-size": 1024,
    }
    assert llama_cpp(parameters) == PlanRequest(
        engine="llama_cpp",
        num_ctx=4096,
        num_parallel=4,
        num_gpu=30,
        host_experts=20,
        split=(3, 2, 1),
        key_type="q8_0",
        value_type="f16",
        flash_attention=False,
        batch=1024,
    )


@pytest.mark.parametrize(("layers", "wanted"), [("auto", None), ("all", 1 << 20), (-1, None), ("62", 62)])
def test_layers_may_be_told_by_a_word(layers, wanted):
    assert llama_cpp({"n-gpu-layers": layers}).num_gpu == wanted


def test_what_is_given_outright_goes_over_the_settings():
    assert ollama({"num_ctx": 8192}, {"OLLAMA_NUM_PARALLEL": "4"}, num_ctx=2048, num_parallel=None).num_ctx == 2048
    assert ollama({}, {"OLLAMA_NUM_PARALLEL": "4"}, num_parallel=1).num_parallel == 1


def test_a_setting_that_is_no_number_is_named():
    with pytest.raises(GpuError, match="num_ctx is 'many'"):
        ollama({"num_ctx": "many"})
