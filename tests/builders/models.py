# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers of well-known large models, with their real dimensions and tensor types, and no data.

They come from tables, not from files: the DeepSeek-R1 ones are the publisher's dynamic quants as llama.cpp's loader
lists their types. For IQ1_M and IQ2_XXS only the sums are published (158 and 183 GiB); their experts' types are chosen
to meet these.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Union

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import parse_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.info import describe
from ansible_collections.gguf.fleet.tests.builders.gguf import Tensor, header, pad


@dataclass(frozen=True)
class Model:
    name: str
    kv: dict[str, tuple[str, Any]]
    tensors: tuple[Tensor, ...]

    @property
    def header(self) -> bytes:
        return pad(header(self.kv, self.tensors))

    def facts(self) -> dict[str, Any]:
        """What gguf_info, or a lock, says about this model."""
        return describe([parse_header(self.header)])

    def write(self, path: Union[str, os.PathLike[str]]) -> None:
        """The file with a hole in place of the data: llama.cpp checks its length and reads nothing of it."""
        head = self.header
        with open(path, "wb") as file:
            file.write(head)
            file.truncate(len(head) + sum(-(-tensor.nbytes // 32) * 32 for tensor in self.tensors))


def common(architecture: str, name: str, vocab: int, values: dict[str, tuple[str, Any]]) -> dict[str, tuple[str, Any]]:
    own = {f"{architecture}.{key}": value for key, value in values.items()}
    return {
        "general.architecture": ("str", architecture),
        "general.name": ("str", name),
        **own,
        f"{architecture}.vocab_size": ("u32", vocab),
        # With it llama.cpp wants no vocabulary, which would be the largest part of a header.
        "tokenizer.ggml.model": ("str", "no_vocab"),
    }


# Types of the down, gate and up experts of block i.
R1_EXPERTS = {
    "IQ1_S": lambda i: ("IQ2_XXS" if i < 9 else "IQ1_S", "IQ1_S", "IQ1_S"),
    "IQ1_M": lambda i: ("IQ2_XXS", "IQ1_M", "IQ1_M" if i < 13 else "IQ2_XXS"),
    "IQ2_XXS": lambda i: ("Q3_K" if i < 7 else "Q2_K", "IQ2_XXS", "IQ2_XXS"),
    "Q2_K_XL": lambda i: ("Q3_K" if i < 6 else "Q2_K", "Q2_K", "Q2_K"),
}


def deepseek_r1(quant: str, *, mla: bool = False) -> Model:
    """DeepSeek-R1 671B. Without MLA keys as published in January 2025, with them as converted since April 2025."""
    embd, heads, vocab, q_rank, kv_rank, ff_exp, experts = 7168, 128, 129280, 1536, 512, 2048, 256
    shared = "Q4_K" if quant == "Q2_K_XL" else "Q5_K"
    tensors = [Tensor("token_embd.weight", (embd, vocab), "Q4_K"), Tensor("output_norm.weight", (embd,))]
    tensors.append(Tensor("output.weight", (embd, vocab), "Q6_K"))
    for i in range(61):
        block = [
            ("attn_norm.weight", (embd,), "F32"),
            ("attn_q_a_norm.weight", (q_rank,), "F32"),
            ("attn_kv_a_norm.weight", (kv_rank,), "F32"),
            ("attn_q_a.weight", (embd, q_rank), "Q4_K"),
            ("attn_q_b.weight", (q_rank, heads * 192), "Q4_K"),
            ("attn_kv_a_mqa.weight", (embd, kv_rank + 64), "Q6_K"),
            ("attn_output.weight", (heads * 128, embd), "Q4_K"),
            ("ffn_norm.weight", (embd,), "F32"),
        ]
        if mla:
            block += [
                ("attn_k_b.weight", (128, kv_rank, heads), "Q8_0"),
                ("attn_v_b.weight", (kv_rank, 128, heads), "Q6_K"),
            ]
        else:
            block.append(("attn_kv_b.weight", (kv_rank, heads * 256), "Q6_K"))
        if i < 3:
            block += [
                ("ffn_gate.weight", (embd, 18432), "Q4_K"),
                ("ffn_down.weight", (18432, embd), "Q6_K"),
                ("ffn_up.weight", (embd, 18432), "Q4_K"),
            ]
        else:
            down, gate, up = R1_EXPERTS[quant](i)
            block += [
                ("ffn_gate_inp.weight", (embd, experts), "F32"),
                ("exp_probs_b.bias", (experts,), "F32"),
                ("ffn_down_exps.weight", (ff_exp, embd, experts), down),
                ("ffn_gate_exps.weight", (embd, ff_exp, experts), gate),
                ("ffn_up_exps.weight", (embd, ff_exp, experts), up),
                ("ffn_gate_shexp.weight", (embd, ff_exp), shared),
                ("ffn_down_shexp.weight", (ff_exp, embd), "Q6_K"),
                ("ffn_up_shexp.weight", (embd, ff_exp), shared),
            ]
        tensors += [Tensor(f"blk.{i}.{name}", dims, kind) for name, dims, kind in block]
    values: dict[str, tuple[str, Any]] = {
        "block_count": ("u32", 61),
        "context_length": ("u32", 163840),
        "embedding_length": ("u32", embd),
        "feed_forward_length": ("u32", 18432),
        "attention.head_count": ("u32", heads),
        "attention.head_count_kv": ("u32", 1 if mla else heads),
        "rope.freq_base": ("f32", 10000.0),
        "attention.layer_norm_rms_epsilon": ("f32", 1e-6),
        "expert_used_count": ("u32", 8),
        "leading_dense_block_count": ("u32", 3),
        "attention.q_lora_rank": ("u32", q_rank),
        "attention.kv_lora_rank": ("u32", kv_rank),
        "attention.key_length": ("u32", 576 if mla else 192),
        "attention.value_length": ("u32", 512 if mla else 128),
        "expert_feed_forward_length": ("u32", ff_exp),
        "expert_count": ("u32", experts),
        "expert_shared_count": ("u32", 1),
        "expert_weights_scale": ("f32", 2.5),
        "expert_weights_norm": ("bool", True),
        "expert_gating_func": ("u32", 2),
        "rope.dimension_count": ("u32", 64),
        "rope.scaling.type": ("str", "yarn"),
        "rope.scaling.factor": ("f32", 40.0),
        "rope.scaling.original_context_length": ("u32", 4096),
        "rope.scaling.yarn_log_multiplier": ("f32", 0.1),
    }
    if mla:
        values["attention.key_length_mla"] = ("u32", 192)
        values["attention.value_length_mla"] = ("u32", 128)
    return Model(
        f"DeepSeek-R1 {quant}{' MLA' if mla else ''}",
        common("deepseek2", "DeepSeek R1", vocab, values),
        tuple(tensors),
    )


def llama3_70b() -> Model:
    """Llama 3 70B in Q4_K_M: grouped-query attention, dense, 80 blocks."""
    embd, ff, vocab, kv = 8192, 28672, 128256, 1024
    tensors = [
        Tensor("token_embd.weight", (embd, vocab), "Q4_K"),
        Tensor("output_norm.weight", (embd,)),
        Tensor("output.weight", (embd, vocab), "Q6_K"),
    ]
    for i in range(80):
        more = "Q6_K" if i < 10 or i >= 70 or i % 3 == 0 else "Q4_K"
        block = [
            ("attn_norm", (embd,), "F32"),
            ("attn_q", (embd, embd), "Q4_K"),
            ("attn_k", (embd, kv), "Q4_K"),
            ("attn_v", (embd, kv), more),
            ("attn_output", (embd, embd), "Q4_K"),
            ("ffn_norm", (embd,), "F32"),
            ("ffn_gate", (embd, ff), "Q4_K"),
            ("ffn_down", (ff, embd), more),
            ("ffn_up", (embd, ff), "Q4_K"),
        ]
        tensors += [Tensor(f"blk.{i}.{name}.weight", dims, kind) for name, dims, kind in block]
    values = {
        "block_count": ("u32", 80),
        "context_length": ("u32", 131072),
        "embedding_length": ("u32", embd),
        "feed_forward_length": ("u32", ff),
        "attention.head_count": ("u32", 64),
        "attention.head_count_kv": ("u32", 8),
        "rope.freq_base": ("f32", 500000.0),
        "rope.dimension_count": ("u32", 128),
        "attention.layer_norm_rms_epsilon": ("f32", 1e-5),
    }
    return Model("Llama-3-70B Q4_K_M", common("llama", "Llama 3 70B", vocab, values), tuple(tensors))


def qwen3_moe_30b() -> Model:
    """Qwen3 30B-A3B in Q4_K: 128 experts, 8 used, head size apart from the embedding."""
    embd, ff_exp, vocab, experts = 2048, 768, 151936, 128
    tensors = [
        Tensor("token_embd.weight", (embd, vocab), "Q4_K"),
        Tensor("output_norm.weight", (embd,)),
        Tensor("output.weight", (embd, vocab), "Q6_K"),
    ]
    for i in range(48):
        block = [
            ("attn_norm", (embd,), "F32"),
            ("attn_q", (embd, 4096), "Q4_K"),
            ("attn_k", (embd, 512), "Q4_K"),
            ("attn_v", (embd, 512), "Q6_K"),
            ("attn_output", (4096, embd), "Q4_K"),
            ("attn_q_norm", (128,), "F32"),
            ("attn_k_norm", (128,), "F32"),
            ("ffn_norm", (embd,), "F32"),
            ("ffn_gate_inp", (embd, experts), "F32"),
            ("ffn_gate_exps", (embd, ff_exp, experts), "Q4_K"),
            ("ffn_down_exps", (ff_exp, embd, experts), "Q6_K"),
            ("ffn_up_exps", (embd, ff_exp, experts), "Q4_K"),
        ]
        tensors += [Tensor(f"blk.{i}.{name}.weight", dims, kind) for name, dims, kind in block]
    values = {
        "block_count": ("u32", 48),
        "context_length": ("u32", 40960),
        "embedding_length": ("u32", embd),
        "feed_forward_length": ("u32", 6144),
        "attention.head_count": ("u32", 32),
        "attention.head_count_kv": ("u32", 4),
        "attention.key_length": ("u32", 128),
        "attention.value_length": ("u32", 128),
        "rope.freq_base": ("f32", 1000000.0),
        "attention.layer_norm_rms_epsilon": ("f32", 1e-6),
        "expert_count": ("u32", experts),
        "expert_used_count": ("u32", 8),
        "expert_feed_forward_length": ("u32", ff_exp),
    }
    return Model("Qwen3-30B-A3B Q4_K", common("qwen3moe", "Qwen3 30B A3B", vocab, values), tuple(tensors))


def gemma3_27b() -> Model:
    """Gemma 3 27B in Q4_K: five blocks of six look back 1,024 tokens only; the output shares the embedding's tensor."""
    embd, ff, vocab = 5376, 21504, 262144
    tensors = [Tensor("token_embd.weight", (embd, vocab), "Q6_K"), Tensor("output_norm.weight", (embd,))]
    for i in range(62):
        block = [
            ("attn_norm", (embd,), "F32"),
            ("attn_q", (embd, 4096), "Q4_K"),
            ("attn_k", (embd, 2048), "Q4_K"),
            ("attn_v", (embd, 2048), "Q6_K"),
            ("attn_output", (4096, embd), "Q4_K"),
            ("attn_q_norm", (128,), "F32"),
            ("attn_k_norm", (128,), "F32"),
            ("post_attention_norm", (embd,), "F32"),
            ("ffn_norm", (embd,), "F32"),
            ("ffn_gate", (embd, ff), "Q4_K"),
            ("ffn_down", (ff, embd), "Q6_K"),
            ("ffn_up", (embd, ff), "Q4_K"),
            ("post_ffw_norm", (embd,), "F32"),
        ]
        tensors += [Tensor(f"blk.{i}.{name}.weight", dims, kind) for name, dims, kind in block]
    values = {
        "block_count": ("u32", 62),
        "context_length": ("u32", 131072),
        "embedding_length": ("u32", embd),
        "feed_forward_length": ("u32", ff),
        "attention.head_count": ("u32", 32),
        "attention.head_count_kv": ("u32", 16),
        "attention.key_length": ("u32", 128),
        "attention.value_length": ("u32", 128),
        "attention.sliding_window": ("u32", 1024),
        "rope.freq_base": ("f32", 1000000.0),
        "rope.scaling.type": ("str", "linear"),
        "rope.scaling.factor": ("f32", 8.0),
        "attention.layer_norm_rms_epsilon": ("f32", 1e-6),
    }
    return Model("Gemma-3-27B Q4_K", common("gemma3", "Gemma 3 27B", vocab, values), tuple(tensors))
