# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.compute import Part, compute_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.memory import Load, kv_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import model_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError
from ansible_collections.gguf.fleet.tests.builders.models import (
    deepseek_r1,
    gemma3_27b,
    llama3_70b,
)
from ansible_collections.gguf.fleet.tests.conformance.gpu.families import family

MIB = 1024**2


def kv_mib(model, load):
    return sum(kv_bytes(model, block, load) for block in model.blocks) / MIB


@pytest.mark.parametrize(("num_ctx", "mib"), [(4096, 19520), (8192, 39040), (32768, 156160)])
def test_r1_without_mla_keys_caches_4_77_mib_a_token(num_ctx, mib):
    assert kv_mib(model_from_facts(deepseek_r1("IQ1_S").facts()), Load(num_ctx=num_ctx)) == mib


def test_r1_with_mla_keys_caches_69_times_less():
    model = model_from_facts(deepseek_r1("IQ1_S", mla=True).facts())
    assert kv_mib(model, Load(num_ctx=32768)) == 2196
    assert kv_mib(model, Load(num_ctx=32768, latent_values=True)) == pytest.approx(4148)


def test_slots_have_caches_of_their_own_rounded_up_each():
    model = model_from_facts(llama3_70b().facts())
    assert kv_mib(model, Load(num_ctx=8192)) == 2560
    assert kv_mib(model, Load(num_ctx=1000, num_parallel=3)) == 3 * kv_mib(model, Load(num_ctx=1024))


def test_a_quantised_cache_counts_its_scales():
    model = model_from_facts(llama3_70b().facts())
    assert kv_mib(model, Load(num_ctx=8192, key_type="q8_0", value_type="q8_0")) == 1360
    assert kv_mib(model, Load(num_ctx=8192, key_type="q4_0")) == pytest.approx(1280 * (18 / 64) + 1280)


def test_blocks_with_a_sliding_window_cache_the_window_and_a_batch():
    model = model_from_facts(gemma3_27b().facts())
    assert [block.caches[0].window for block in model.blocks[:7]] == [1024] * 5 + [0, 1024]
    assert kv_mib(model, Load(num_ctx=8192)) == 1264
    assert kv_mib(model, Load(num_ctx=8192, sliding_cache=False)) == 62 * 64
    assert kv_mib(model, Load(num_ctx=512)) == 62 * 4


def test_an_output_without_a_matrix_of_its_own_is_the_embedding_once_more_on_a_gpu():
    model = model_from_facts(gemma3_27b().facts())
    assert model.shared_output
    assert model.gpu_output_bytes == model.output_bytes + model.embedding_bytes
    assert not model_from_facts(llama3_70b().facts()).shared_output


def test_without_flash_attention_the_scores_of_all_heads_grow_with_context_and_slots():
    model = model_from_facts(deepseek_r1("IQ1_S").facts())
    part = Part(blocks=model.blocks[:10])

    def mib(**load):
        return compute_bytes(model, Load(flash_attention=False, **load), part) / MIB

    assert mib(num_ctx=8192) - mib(num_ctx=2048) == 129 * 6144 * 512 * 4 / MIB
    assert mib(num_ctx=2048, num_parallel=4, unified=True) == mib(num_ctx=8192)
    assert mib(num_ctx=2048, num_parallel=4) == mib(num_ctx=2048)


def test_deepseek_without_mla_keys_has_no_flash_attention_kernel_on_cuda():
    assert not model_from_facts(deepseek_r1("IQ1_S").facts()).flash_attention_on_cuda
    assert model_from_facts(deepseek_r1("IQ1_S", mla=True).facts()).flash_attention_on_cuda
    assert model_from_facts(llama3_70b().facts()).flash_attention_on_cuda


def test_facts_without_tensor_sizes_are_spread_evenly_and_say_so():
    facts = {**deepseek_r1("Q2_K_XL").facts(), "tensor_bytes": None, "block_tensors": None}
    facts["expert_feed_forward_length"] = None
    model = model_from_facts(facts)
    whole = model.embedding_bytes + model.output_bytes + sum(b.dense_bytes + b.experts_bytes for b in model.blocks)
    assert whole == pytest.approx(facts["size_bytes"], rel=0.001)
    assert len(model.guesses) == 2


@pytest.mark.parametrize("key", ["block_count", "embedding_length", "head_count"])
def test_facts_without_a_needed_number_are_refused_by_its_name(key):
    with pytest.raises(GpuError, match=key):
        model_from_facts({**llama3_70b().facts(), key: None})


def test_an_unknown_cache_type_is_refused_with_the_known_ones():
    model = model_from_facts(llama3_70b().facts())
    with pytest.raises(GpuError, match="q8_0"):
        kv_mib(model, replace(Load(num_ctx=2048), key_type="q9"))


def test_heads_of_192_and_128_have_flash_attention_where_eight_queries_share_one_of_keys():
    assert model_from_facts(family("mimo-v2-flash").facts()).flash_attention_on_cuda
    assert not model_from_facts(deepseek_r1("IQ1_S").facts()).flash_attention_on_cuda


def test_a_recurrent_state_takes_the_same_however_long_the_context_and_once_a_slot():
    model = model_from_facts(family("qwen3-next-80b-a3b").facts())
    recurrent = model.blocks[0]
    assert recurrent.layer.recurrent
    one = kv_bytes(model, recurrent, Load(num_ctx=4096))
    assert one == kv_bytes(model, recurrent, Load(num_ctx=131072, key_type="q8_0", value_type="q8_0"))
    assert kv_bytes(model, recurrent, Load(num_ctx=4096, num_parallel=8)) == 8 * one
