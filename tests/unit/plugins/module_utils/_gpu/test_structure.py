# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each layer of a model is, and what a file that contradicts itself gets."""

from __future__ import annotations

from functools import cache
from time import perf_counter

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import model_from_facts
from ansible_collections.gguf.fleet.tests.conformance.gpu.families import entries, family


@cache
def facts_of(name):
    return family(name).facts()


def layers(name):
    return [block.layer for block in model_from_facts(facts_of(name)).blocks]


def test_blocks_that_predict_further_tokens_are_not_loaded_and_cache_nothing():
    model = model_from_facts(facts_of("glm-4.5"))
    last = model.blocks[-1]
    assert (last.dense_bytes, last.experts_bytes, last.caches) == (0, 0, ())
    assert len(model.blocks) == 93
    assert model.blocks[-2].caches


def test_some_loaders_skip_only_a_part_of_such_a_block():
    assert model_from_facts(facts_of("hy3-295b-a21b")).blocks[-1].experts_bytes > 0


def test_hybrid_models_have_a_cache_in_attention_layers_only_and_a_state_in_the_others():
    found = layers("qwen3-next-80b-a3b")
    assert [number for number, layer in enumerate(found) if layer.caches] == list(range(3, 48, 4))
    assert [bool(layer.state) for layer in found] == [not layer.caches for layer in found]
    assert found[0].state == 3 * (4096 + 2 * 16 * 128) + 128 * 4096


def test_layers_with_experts_alone_keep_nothing():
    found = layers("nemotron-3-nano-30b-a3b")
    assert (found[1].caches, found[1].state) == ((), 0)
    assert found[5].caches and found[0].state


def test_sliding_layers_have_windows_and_heads_of_their_own():
    found = layers("gemma-4-31b")
    assert [layer.caches[0].window for layer in found[:7]] == [1024] * 5 + [0, 1024]
    assert (found[0].caches[0].keys, found[5].caches[0].keys) == (16 * 256, 4 * 512)
    assert [bool(layer.caches) for layer in layers("gemma-4-e4b")] == [True] * 24 + [False] * 18


def test_indexers_cache_keys_and_only_the_full_ones():
    assert [len(layer.caches) for layer in layers("glm-5")] == [2] * 78 + [0]
    assert [len(layer.caches) for layer in layers("glm-5.2")] == [*([2, 1, 1, 1] * 20)[:78], 0]


def test_compressed_caches_share_cells():
    assert [[cache.ratio for cache in layer.caches] for layer in layers("deepseek-v4-flash")[:4]] == [
        [1],
        [1],
        [1, 4, 4],
        [1, 128],
    ]


@pytest.mark.parametrize("name", entries())
def test_real_families_are_understood(name):
    assert model_from_facts(facts_of(name)).unknown == ()


def broken(name="gemma-4-31b", **keys):
    """The facts of a family with other values; the keys have two underscores where theirs have a point."""
    facts = dict(facts_of(name))
    own = {key.replace("__", "."): value for key, value in keys.items()}
    facts["hyperparameters"] = {**facts["hyperparameters"], **own}
    facts.update({key.rpartition(".")[2]: value for key, value in own.items() if key.rpartition(".")[2] in facts})
    return facts


BAD = {
    "a pattern shorter than the layers": broken(attention__sliding_window_pattern=[True] * 5),
    "no pattern": broken(attention__sliding_window_pattern=None),
    "a window of 0": broken(attention__sliding_window=0),
    "a negative window": broken(attention__sliding_window=-5),
    "a huge window": broken(attention__sliding_window=1 << 60),
    "as many predicting layers as layers": broken("glm-4.5", nextn_predict_layers=93),
    "more predicting layers than layers": broken("glm-4.5", nextn_predict_layers=1 << 31),
    "no heads": broken("qwen3-32b", attention__head_count=0, attention__head_count_kv=0),
    "heads for fewer layers": broken(attention__head_count_kv=[4] * 7),
    "negative heads": broken(attention__head_count_kv=[-4] * 60),
    "heads as text": broken(attention__head_count_kv=["four"] * 60),
    "2^31 layers": broken(block_count=1 << 31),
    "65,536 layers": broken(block_count=65536),
    "layers without tensors": broken(block_count=80),
    "more shared caches than layers": broken(attention__shared_kv_layers=61),
    "compression for fewer layers": broken("deepseek-v4-flash", attention__compress_ratios=[4]),
    "an unknown compression": broken("deepseek-v4-flash", attention__compress_ratios=[7] * 43),
    "indexers for fewer layers": broken("glm-5.2", attention__indexer__types=[True]),
    "a state of no size": {**facts_of("jamba-1.5-large"), "hyperparameters": {}},
    "an entry of a catalog without the keys of its layers": {
        **{key: value for key, value in facts_of("qwen3.5-27b").items() if key != "block_tensors"},
        "hyperparameters": {},
    },
    "no indexer where there is one": {**facts_of("glm-5"), "hyperparameters": {}},
    "no ratios of compression": broken("deepseek-v4-flash", attention__compress_ratios=None),
    "no window where there is one": {**facts_of("gpt-oss-120b"), "hyperparameters": {}, "sliding_window": None},
    "more used experts than there are": broken("qwen3-235b-a22b", expert_used_count=129),
    "too many experts": broken("qwen3-235b-a22b", expert_count=1 << 30),
    "loops": broken("qwen3-32b", num_loops=2),
    "a strange tensor": {
        **facts_of("qwen3-32b"),
        "block_tensors": [{"blocks": "0-63", "tensors": ["attn_q", "attn_k", "attn_teleport"]}],
    },
    "a strange tensor outside of layers": {**facts_of("qwen3-32b"), "unplaced_tensors": ["dec.output_norm"]},
    "an architecture of which nothing is told": {
        **facts_of("qwen3-32b"),
        "architecture": "nova",
        "block_tensors": [],
    },
}


@pytest.mark.parametrize("facts", BAD.values(), ids=BAD)
def test_what_contradicts_itself_is_not_understood_and_says_why(facts):
    started = perf_counter()
    model = model_from_facts(facts)
    assert perf_counter() - started < 5
    assert model.unknown
    assert all(sentence.endswith(".") and len(sentence) < 300 for sentence in model.unknown)


def test_a_new_name_with_a_known_structure_is_understood_but_not_judged():
    model = model_from_facts({**facts_of("qwen3-32b"), "architecture": "nova"})
    assert (model.unknown, model.judged) == ((), False)
