# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What llama.cpp's loaders fix for an architecture and its files do not say (src/models/*.cpp, b11434)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# src/llama-hparams.h: LLAMA_MAX_LAYERS, LLAMA_MAX_EXPERTS.
MAX_LAYERS = 512
MAX_EXPERTS = 1024


@dataclass(frozen=True)
class Sliding:
    """Which blocks look back a window only, where the file has no pattern of its own (load_swa_pattern)."""

    period: Optional[int]  # of so many blocks one sees everything; None: the file's pattern is needed, 0: none does
    dense_first: bool = False  # the first of a period sees everything, else the last one
    default: int = 0  # window without a key
    fixed: int = 0  # window whatever the key says
    blocks: int = 0  # only with so many blocks


SLIDING: dict[str, Sliding] = {
    "afmoe": Sliding(4),
    "cohere2": Sliding(4),
    "cohere2moe": Sliding(4, dense_first=True),
    "deepseek4": Sliding(0),
    "exaone-moe": Sliding(4, default=128),
    "exaone4": Sliding(4, default=4096, blocks=64),
    "gemma2": Sliding(2, default=4096),
    "gemma3": Sliding(6),
    "gemma3n": Sliding(5),
    "gemma4": Sliding(None),
    "gpt-oss": Sliding(2),
    "granite_swa": Sliding(None),
    "laguna": Sliding(4, dense_first=True),
    "lfm2": Sliding(0),
    "llama4": Sliding(4, default=8192, fixed=8192),
    "maple": Sliding(None),
    "mellum": Sliding(4),
    "mimo2": Sliding(None),
    "muse-glimmer": Sliding(4),
    "olmo2": Sliding(4),
    "plamo3": Sliding(8),
    "smallthinker": Sliding(4, dense_first=True, fixed=4096),
    "spark2_5": Sliding(None),
    "step35": Sliding(None),
}

_WINDOW, _PATTERN = "attention.sliding_window", "attention.sliding_window_pattern"
_INDEXER = "attention.indexer.key_length"
# Keys without which a loader fails, and that decide what a layer keeps.
REQUIRED_KEYS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("gemma4", "mimo2", "step35", "spark2_5", "maple", "granite_swa"), (_WINDOW, _PATTERN)),
    **dict.fromkeys(("cohere2", "cohere2moe", "gpt-oss", "gemma3n", "muse-glimmer"), (_WINDOW,)),
    **dict.fromkeys(("deepseek32", "glm-dsa", "minimax-m3"), (_INDEXER,)),
    "deepseek4": (_WINDOW, _INDEXER, "attention.compress_ratios"),
}

# A full attention block after so many recurrent ones, where the file does not say.
FULL_ATTENTION_INTERVAL = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4, "minimax-01": 8}

# The first blocks that have a cache; the later ones read it (gemma3n.cpp).
CACHED_BLOCKS = {"gemma3n": 20}

# These ask for the output before the embedding, so that a shared matrix is held twice even where both are in RAM.
SHARED_TWICE = frozenset({"gemma3n", "gemma4", "gemma4-assistant"})

# GLM 5.2 and later have a full indexer in the first two layers and in every fourth one (glm-dsa.cpp).
SPARSE_INDEXER_CONTEXT = 1048576

# Blocks for the prediction of several tokens are skipped, but these loaders skip only a part of their tensors.
_PLAIN_SKIPPED = (
    *("attn_norm", "attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output", "ffn_norm"),
    *("nextn.eh_proj", "nextn.enorm", "nextn.hnorm"),
)
PARTLY_SKIPPED = {"step35": _PLAIN_SKIPPED, "hy_v3": (*_PLAIN_SKIPPED, "attn_q_norm", "attn_k_norm")}

# Architectures whose structure these rules cover: attention of every kind, recurrent layers, indexers, experts.
PLAIN = _names(
    "llama deci falcon grok gpt2 gptj gptneox mpt baichuan starcoder refact bloom stablelm qwen qwen2 qwen2moe "
    "qwen2vl qwen3 qwen3moe qwen3vl qwen3vlmoe phi2 phi3 phimoe plamo codeshell orion internlm2 minicpm minicpm3 "
    "gemma starcoder2 xverse command-r dbrx olmo olmoe openelm arctic deepseek deepseek2 deepseek2-ocr chatglm glm4 "
    "glm4moe bitnet jais jais2 nemotron exaone granite granitemoe chameleon plm bailingmoe bailingmoe2 dots1 arcee "
    "ernie4_5 ernie4_5-moe hunyuan-moe hunyuan-dense hunyuan_vl hy_v3 smollm3 seed_oss grovemoe apertus minimax-m2 "
    "cogvlm pangu-embedded mistral3 mistral4 paddleocr maincoder talkie"
)
HYBRID = _names(
    "jamba falcon-h1 plamo2 granitehybrid lfm2 lfm2moe nemotron_h nemotron_h_moe qwen3next qwen35 qwen35moe kimi- "
    "linear minimax-01 mamba mamba2 rwkv6 rwkv6qwen2 rwkv7 arwkv7"
)
SPARSE = _names("deepseek32 glm-dsa minimax-m3 deepseek4")
KNOWN = PLAIN | HYBRID | SPARSE | frozenset(SLIDING)

# The ones whose plans tests/conformance/gpu compares with llama-fit-params.
JUDGED = _names(
    "llama qwen2 qwen3 qwen3moe qwen3vlmoe qwen3next qwen35 qwen35moe glm4 glm4moe glm-dsa deepseek2 deepseek32 "
    "deepseek4 kimi-linear bailingmoe2 hy_v3 mimo2 step35 nemotron_h_moe granitehybrid gemma2 gemma3 gemma3n gemma4 "
    "exaone4 exaone-moe llama4 minimax-m2 minimax-m3 gpt-oss phi3 cohere2 ernie4_5-moe hunyuan-moe dots1 seed_oss "
    "olmo2 lfm2moe falcon-h1 jamba qwen2moe minimax-01 smollm3 mistral3 granitemoe afmoe lfm2 nemotron_h mistral4 "
    "cohere2moe laguna"
)

# Keys of structures that the rules do not cover.
NOT_UNDERSTOOD = (
    *("num_loops", "hrm.", "ple.", "adapters.", "decoder_block_count", "target_layers", "target_hidden_size"),
    *(
        "attention.kv_lora_rank_swa",
        "attention.key_length_mla_swa",
        "attention.indexer.kpool",
        "hyper_connection.low_rank",
    ),
    *("posnet.", "convnext.", "decision."),
)

# What a block may consist of (LLM_TENSOR_NAMES of src/llama-arch.cpp); biases and scales beside.
BLOCK_TENSORS = _names(
    "attn_norm attn_norm_2 attn_q attn_k attn_v attn_qkv attn_output attn_rot_embd attn_q_norm attn_k_norm attn_gate "
    "attn_sinks attn_sub_norm attn_output_norm post_attention_norm layer_output_norm layer_output_scale attn_q_a "
    "attn_q_b attn_q_a_norm attn_kv_a_mqa attn_kv_a_norm attn_kv_b attn_k_b attn_v_b attn_kv attn_output_a "
    "attn_output_b attn_compressor_kv attn_compressor_gate attn_compressor_ape attn_compressor_norm indexer.k_norm "
    "indexer.proj indexer.attn_k indexer.attn_q_b indexer.q_proj indexer.k_proj indexer.q_norm indexer_compressor_kv "
    "indexer_compressor_gate indexer_compressor_ape indexer_compressor_norm ffn_norm ffn_gate ffn_down ffn_up ffn.act "
    "ffn_act ffn_sub_norm post_ffw_norm post_ffw_norm_1 post_ffw_norm_2 pre_ffw_norm_2 ffn_norm_exps ffn_gate_inp "
    "ffn_gate_inp_shexp ffn_gate_exps ffn_down_exps ffn_up_exps ffn_gate_up_exps ffn_gate.N ffn_down.N ffn_up.N "
    "ffn_gate_shexp ffn_up_shexp ffn_down_shexp ffn_gate_chexps ffn_down_chexps ffn_up_chexps exp_probs_b "
    "exp_probs_b_vl ffn_latent_down ffn_latent_up ffn_gate_tid2eid hc_attn_fn hc_attn_base hc_attn_scale hc_ffn_fn "
    "hc_ffn_base hc_ffn_scale ssm_a ssm_conv1d ssm_dt ssm_ba ssm_alpha ssm_beta ssm_in ssm_norm ssm_out ssm_x ssm_d "
    "ssm_dt_norm ssm_b_norm ssm_c_norm ssm_conv1d_q ssm_conv1d_k ssm_conv1d_v ssm_f_a ssm_f_b ssm_g ssm_g_a ssm_g_b "
    "shortconv.conv shortconv.in_proj shortconv.out_proj inp_gate proj post_norm altup_correct_coef "
    "altup_correct_scale altup_predict_coef altup_router altup_router_norm laurel_l laurel_r laurel_post_norm "
    "nextn.eh_proj nextn.embed_tokens nextn.enorm nextn.hnorm nextn.shared_head_head nextn.shared_head_norm "
    "vis_attn_qkv vis_attn_output vis_gate vis_down vis_up time_mix_w0 time_mix_w1 time_mix_w2 time_mix_a0 "
    "time_mix_a1 time_mix_a2 time_mix_v0 time_mix_v1 time_mix_v2 time_mix_g1 time_mix_g2 time_mix_k_k time_mix_k_a "
    "time_mix_r_k time_mix_lerp_x time_mix_lerp_w time_mix_lerp_k time_mix_lerp_v time_mix_lerp_r time_mix_lerp_g "
    "time_mix_lerp_fused time_mix_first time_mix_decay time_mix_decay_w1 time_mix_decay_w2 time_mix_key "
    "time_mix_value time_mix_receptance time_mix_gate time_mix_ln time_mix_output channel_mix_lerp_k "
    "channel_mix_lerp_r channel_mix_key channel_mix_value channel_mix_receptance rope_freqs rope_factors_long "
    "rope_factors_short"
)
SUFFIXES = (".bias", ".scale", ".input_scale")
