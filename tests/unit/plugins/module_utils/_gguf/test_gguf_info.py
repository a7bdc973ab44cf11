# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import parse_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.info import describe
from ansible_collections.gguf.fleet.tests.builders.gguf import (
    Tensor,
    gguf,
    split_set,
    tensors,
)

R1_KV = {
    "general.architecture": ("str", "deepseek2"),
    "general.name": ("str", "DeepSeek R1 BF16"),
    "general.size_label": ("str", "256x20B"),
    "general.file_type": ("u32", 1024 | 24),
    "deepseek2.block_count": ("u32", 61),
    "deepseek2.context_length": ("u32", 163840),
    "deepseek2.embedding_length": ("u32", 7168),
    "deepseek2.feed_forward_length": ("u32", 18432),
    "deepseek2.attention.head_count": ("u32", 128),
    "deepseek2.attention.head_count_kv": ("u32", 1),
    "deepseek2.attention.key_length": ("u32", 576),
    "deepseek2.attention.value_length": ("u32", 512),
    "deepseek2.attention.key_length_mla": ("u32", 192),
    "deepseek2.attention.value_length_mla": ("u32", 128),
    "deepseek2.attention.kv_lora_rank": ("u32", 512),
    "deepseek2.attention.q_lora_rank": ("u32", 1536),
    "deepseek2.expert_count": ("u32", 256),
    "deepseek2.expert_used_count": ("u32", 8),
    "deepseek2.expert_shared_count": ("u32", 1),
    "deepseek2.leading_dense_block_count": ("u32", 3),
    "deepseek2.vocab_size": ("u32", 129280),
    "deepseek2.rope.dimension_count": ("u32", 64),
    "deepseek2.rope.freq_base": ("f32", 10000.0),
    "deepseek2.rope.scaling.type": ("str", "yarn"),
    "deepseek2.rope.scaling.factor": ("f32", 40.0),
    "deepseek2.rope.scaling.original_context_length": ("u32", 4096),
    "tokenizer.chat_template": ("str", "{{ x }}"),
}
R1_TENSORS = [
    Tensor("token_embd.weight", (256, 4), "Q4_K"),
    Tensor("output.weight", (256, 4), "Q6_K"),
    Tensor("output_norm.weight", (32,), "F32"),
    Tensor("rope_freqs.weight", (8,), "F32"),
    Tensor("blk.0.ffn_down.weight", (256,), "Q4_K"),
    Tensor("blk.2.ffn_down_exps.weight", (256, 1, 8), "IQ1_S"),
    Tensor("blk.2.attn_norm.weight", (32,), "F32"),
    Tensor("blk.2.ffn_up.3.weight", (256,), "IQ1_S"),
]


def facts(kv=None, group=None):
    return describe([parse_header(gguf(R1_KV if kv is None else kv, R1_TENSORS if group is None else group))])


def test_facts_of_an_r1_like_header():
    got = facts()
    expected = {
        "architecture": "deepseek2",
        "name": "DeepSeek R1 BF16",
        "size_label": "256x20B",
        "quant": "IQ1_S",
        "block_count": 61,
        "context_length": 163840,
        "embedding_length": 7168,
        "feed_forward_length": 18432,
        "head_count": 128,
        "head_count_kv": 1,
        "key_length": 576,
        "value_length": 512,
        "key_length_mla": 192,
        "value_length_mla": 128,
        "kv_lora_rank": 512,
        "q_lora_rank": 1536,
        "expert_count": 256,
        "expert_used_count": 8,
        "expert_shared_count": 1,
        "leading_dense_block_count": 3,
        "vocab_size": 129280,
        "chat_template": True,
        "complete": True,
        "tensors": 8,
    }
    assert {name: got[name] for name in expected} == expected
    assert got["rope"] == {
        "dimension_count": 64,
        "freq_base": 10000.0,
        "scaling_type": "yarn",
        "scaling_factor": 40.0,
        "original_context_length": 4096,
    }


def test_tensor_bytes_are_told_by_place_and_by_type():
    got = facts()
    assert got["tensor_bytes"] == {
        "embedding": 4 * 144,
        "input": 0,
        "output": 4 * 210 + 128,
        "other": 32,
        "tied_output": False,
        "blocks": [
            {"dense": 144, "experts": 0},
            {"dense": 0, "experts": 0},
            {"dense": 128, "experts": 9 * 50},
        ],
    }
    assert got["type_bytes"] == {"F32": 288, "IQ1_S": 450, "Q4_K": 720, "Q6_K": 840}


def test_facts_are_plain_data():
    assert json.loads(json.dumps(facts())) == facts()


def test_shards_are_complete_only_all_together():
    headers = [parse_header(shard) for shard in split_set([tensors(1, prefix="a"), tensors(1, prefix="b")])]
    assert describe(headers)["complete"]
    assert not describe(headers[:1])["complete"]
    assert not describe(headers[::-1])["complete"]
    assert describe(headers[1:])["split"] == {"count": 2, "index": 1, "tensors": 2}


def test_layer_lists_stay_lists():
    got = facts({**R1_KV, "deepseek2.attention.head_count_kv": ("[u32]", [8, 0, 8])})
    assert got["head_count_kv"] == [8, 0, 8]


def test_vocabulary_is_counted_where_its_size_is_not_stated():
    kv = {"general.architecture": ("str", "llama"), "tokenizer.ggml.tokens": ("[str]", ["a", "b"])}
    assert facts(kv)["vocab_size"] == 2


@pytest.mark.parametrize(
    "kv",
    [
        {},
        {"general.architecture": ("u32", 7), "general.file_type": ("str", "x")},
        {**R1_KV, "deepseek2.block_count": ("str", "many")},
        {**R1_KV, "deepseek2.block_count": ("u32", 4_000_000_000), "deepseek2.expert_count": ("[str]", ["a"])},
    ],
)
def test_lies_in_the_metadata_count_as_absent_and_size_nothing(kv):
    got = facts(kv, [Tensor("blk.99999.attn.weight"), Tensor("blk.9999999999999.attn.weight")])
    assert len(got["tensor_bytes"]["blocks"]) == 0
    assert got["tensor_bytes"]["other"] == 256


def test_control_characters_in_a_name_do_not_reach_the_terminal():
    assert facts({"general.name": ("str", "a\x1b[2J")})["name"] == "a\\x1b[2J"
