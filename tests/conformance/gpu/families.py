# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers of the families that operators serve today, with all their tensors, from the dimensions in families.yml.

What a tensor is called and how long it is follows llama.cpp's loaders (src/models/*.cpp).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.gguf.fleet.tests.builders.gguf import Tensor
from ansible_collections.gguf.fleet.tests.builders.models import Model, common

DATA = Path(__file__).with_name("families.yml")

# A part of a block: its tensors with their dimensions in the symbols of an entry. "!" keeps a tensor in F32.
PARTS: dict[str, str] = {
    "attention": "attn_norm e, attn_q e h*k, attn_k e kv*k, attn_v e kv*v, attn_output h*v e",
    "attention_qkv": "attn_norm e, attn_qkv e h*k+kv*k+kv*v, attn_output h*v e",
    "attention_post": "attn_q e h*k, attn_k e kv*k, attn_v e kv*v, attn_output h*v e, post_attention_norm e",
    "attention_gated": "attn_norm e, attn_q e 2*h*k, attn_k e kv*k, attn_v e kv*v, attn_output h*v e",
    "keys_are_values": "attn_norm e, attn_q e h*k, attn_k e kv*k, attn_output h*v e",
    "qkv_bias": "attn_q.bias h*k, attn_k.bias kv*k, attn_v.bias kv*v",
    "output_bias": "attn_output.bias e",
    "qk_norm": "attn_q_norm k, attn_k_norm k",
    "qk_norm_all": "attn_q_norm h*k, attn_k_norm kv*k",
    "sinks": "attn_sinks h",
    "head_gate": "attn_gate e h",
    "gate": "attn_gate e h*k",
    "latent": "attn_norm e, attn_kv_a_norm lora, attn_kv_a_mqa e lora+rope, attn_k_b k-rope lora h, attn_v_b lora v h,"
    " attn_output h*v e",
    "latent_q": "attn_q_a_norm q_lora, attn_q_a e q_lora, attn_q_b q_lora h*k",
    "whole_q": "attn_q e h*k",
    "indexer": "indexer.k_norm xk, indexer.k_norm.bias xk, indexer.proj e xh, indexer.attn_k e xk,"
    " indexer.attn_q_b q_lora xh*xk",
    "block_indexer": "indexer.q_proj e xh*xk, indexer.k_proj e xk, indexer.q_norm xk, indexer.k_norm xk",
    "post_attention_norm": "post_attention_norm e",
    "ffn_norm": "ffn_norm e",
    "ffn_norm_bare": "!ffn_norm= e",
    "post_ffw_norm": "post_ffw_norm e",
    "dense": "ffn_gate e ff, ffn_down ff e, ffn_up e ff",
    "dense_no_gate": "ffn_down ff e, ffn_up e ff",
    "dense_fused": "ffn_up e 2*ff, ffn_down ff e",
    "experts": "!ffn_gate_inp e x, ffn_gate_exps e fx x, ffn_down_exps fx e x, ffn_up_exps e fx x",
    "experts_fused": "!ffn_gate_inp e x, !ffn_gate_inp.scale e, pre_ffw_norm_2 e, post_ffw_norm_1 e, post_ffw_norm_2 e,"
    " ffn_gate_up_exps e 2*fx x, ffn_down_exps fx e x",
    "experts_bias": "ffn_gate_inp.bias x, ffn_gate_exps.bias fx x, ffn_down_exps.bias e x, ffn_up_exps.bias fx x",
    "experts_latent": "!ffn_gate_inp e x, ffn_latent_down e le, ffn_latent_up le e, ffn_down_exps fx le x,"
    " ffn_up_exps le fx x",
    "experts_no_gate": "!ffn_gate_inp e x, ffn_down_exps fx e x, ffn_up_exps e fx x",
    "routed_bias": "exp_probs_b.bias x",
    "routed_bias_bare": "!exp_probs_b= x",
    "shared": "ffn_gate_shexp e fs, ffn_down_shexp fs e, ffn_up_shexp e fs",
    "shared_no_gate": "ffn_down_shexp fs e, ffn_up_shexp e fs",
    "shared_gate": "!ffn_gate_inp_shexp e",
    "delta": "attn_norm e, attn_qkv e 2*gk*d+gv*d, attn_gate e gv*d, !ssm_conv1d conv 2*gk*d+gv*d, ssm_dt.bias gv,"
    " ssm_a= gv, ssm_norm d, ssm_out gv*d e",
    "delta_ba": "ssm_ba e 2*gv",
    "delta_alpha_beta": "ssm_beta e gv, ssm_alpha e gv",
    "mamba2": "attn_norm e, ssm_in e 2*di+2*g*d+gv, !ssm_conv1d conv di+2*g*d, ssm_conv1d.bias di+2*g*d,"
    " ssm_dt.bias gv, !ssm_a= 1 gv, !ssm_d= 1 gv, ssm_norm di/g g, ssm_out di e",
    "mamba2_beside": "ssm_in e 2*di+2*g*d+gv, !ssm_conv1d conv di+2*g*d, ssm_conv1d.bias di+2*g*d,"
    " ssm_dt.bias gv, !ssm_a= 1 gv, !ssm_d= 1 gv, ssm_out di e",
    "mamba1": "attn_norm e, ssm_in e 2*di, !ssm_conv1d conv di, ssm_conv1d.bias di, ssm_x di gv+2*d, ssm_dt_norm gv,"
    " ssm_dt gv di, ssm_dt.bias di, !ssm_b_norm d, !ssm_c_norm d, !ssm_a= d di, !ssm_d= di, ssm_out di e",
    "kda": "attn_norm e, !ssm_conv1d_q conv 1 h*d, !ssm_conv1d_k conv 1 h*d, !ssm_conv1d_v conv 1 h*d, attn_q e h*d,"
    " attn_k e h*d, attn_v e h*d, ssm_f_a e d, ssm_f_b d h*d, ssm_beta e h, !ssm_a= 1 h, ssm_dt.bias h*d, ssm_g_a e d,"
    " ssm_g_b d h*d, ssm_norm d, attn_output h*d e",
    "shortconv": "attn_norm e, !shortconv.conv conv e, shortconv.in_proj e 3*e, shortconv.out_proj e e",
    "linear": "attn_norm e, attn_norm_2 h*k, attn_qkv e 3*h*k, attn_gate e h*k, attn_output h*k e",
    "only_norm": "attn_norm e",
    "nextn": "nextn.eh_proj 2*e e, nextn.enorm e, nextn.hnorm e, nextn.shared_head_norm e",
    "layer_output_norm": "layer_output_norm e",
    "nextn_embedding": "nextn.embed_tokens e vocab, nextn.shared_head_head e vocab",
    "per_layer": "inp_gate e pl, proj pl e, post_norm e",
    "output_scale": "layer_output_scale 1",
    "altup": "!altup_correct_coef 4 4, !altup_correct_scale e, !altup_predict_coef 4 16, !altup_router e 4,"
    " altup_router_norm e, !laurel_l e 64, !laurel_r 64 e, laurel_post_norm e",
    "deepseek4": "attn_norm e, attn_sinks h, attn_q_a e q_lora, attn_q_a_norm q_lora, attn_q_b q_lora h*k, attn_kv e k,"
    " attn_kv_a_norm k, attn_output_a h*k/og ol og, attn_output_b og*ol e, !hc_attn_fn hc*e 2*hc+hc*hc,"
    " !hc_attn_base 2*hc+hc*hc, !hc_attn_scale 3, !hc_ffn_fn hc*e 2*hc+hc*hc, !hc_ffn_base 2*hc+hc*hc, !hc_ffn_scale 3",
    "compressed_4": "attn_compressor_kv e 2*k, attn_compressor_gate e 2*k, !attn_compressor_ape 2*k 4,"
    " attn_compressor_norm k, indexer.proj e xh, indexer.attn_q_b q_lora xh*xk, indexer_compressor_kv e 2*xk,"
    " indexer_compressor_gate e 2*xk, !indexer_compressor_ape 2*xk 4, indexer_compressor_norm xk",
    "compressed_128": "attn_compressor_kv e k, attn_compressor_gate e k, !attn_compressor_ape k 128,"
    " attn_compressor_norm k",
    "hashed": "#ffn_gate_tid2eid u vocab",
}

# Outside of blocks.
ENDS: dict[str, str] = {
    "embedding": "token_embd e vocab",
    "norm": "output_norm e",
    "output": "output e vocab",
    "per_layer_inputs": "per_layer_token_embd pl*layers vocab, per_layer_model_proj e pl*layers,"
    " per_layer_proj_norm pl",
    "altup_projections": "altup_proj e e 3, altup_unembd_proj e e 3",
    "rope_freqs": "rope_freqs rf",
    "norm_lfm2": "token_embd_norm e",
    "hyper_head": "!output_hc_fn hc*e hc, !output_hc_base hc, !output_hc_scale 1",
}

# Keys that follow from the symbols of an entry.
KEYS: dict[str, str] = {
    "block_count": "layers",
    "embedding_length": "e",
    "feed_forward_length": "ff",
    "attention.head_count": "h",
    "attention.head_count_kv": "kv",
    "attention.key_length": "k",
    "attention.value_length": "v",
    "attention.q_lora_rank": "q_lora",
    "attention.kv_lora_rank": "lora",
    "rope.dimension_count": "rope",
    "expert_count": "x",
    "expert_used_count": "u",
    "expert_feed_forward_length": "fx",
    "attention.indexer.head_count": "xh",
    "attention.indexer.key_length": "xk",
}


@cache
def entries() -> dict[str, dict[str, Any]]:
    return yaml.safe_load(DATA.read_text())["families"]


def family(name: str) -> Model:
    entry = entries()[name]
    symbols = entry["dimensions"]
    tensors = list(_ends(entry, symbols))
    each: dict[str, list[int]] = {key: [0] * symbols["layers"] for key in entry.get("each", {})}
    for group in entry["layers"]:
        own = {**symbols, **group.get("with", {})}
        for number in _numbers(group):
            for key, symbol in entry.get("each", {}).items():
                each[key][number] = own[symbol]
            for part in group["parts"].split():
                tensors += [_tensor(f"blk.{number}.", text, own) for text in PARTS[part].split(", ")]
    tensors.sort(key=_position)
    values = {key: _typed(symbols[symbol]) for key, symbol in KEYS.items() if symbol in symbols}
    if "lora" in symbols:
        values["attention.key_length_mla"] = _typed(symbols["k"])
        values["attention.value_length_mla"] = _typed(symbols["v"])
        values["attention.key_length"] = _typed(symbols["lora"] + symbols["rope"])
        values["attention.value_length"] = _typed(symbols["lora"])
        values["attention.head_count_kv"] = _typed(1)
    values["attention.layer_norm_rms_epsilon"] = ("f32", 1e-6)
    values.update({key: _typed(numbers) for key, numbers in each.items()})
    values.update({key: _typed(_cycled(value, symbols["layers"])) for key, value in entry.get("keys", {}).items()})
    return Model(name, common(entry["architecture"], name, symbols["vocab"], values), tuple(tensors))


def _position(tensor: Tensor) -> int:
    name = str(tensor.name)
    return int(name.split(".")[1]) if name.startswith("blk.") else -1


def _numbers(group: Mapping[str, Any]) -> Iterator[int]:
    if "at" in group:
        yield from group["at"]
    else:
        but = set(group.get("but", ()))
        yield from (n for n in range(group.get("from", 0), group["to"] + 1, group.get("step", 1)) if n not in but)


def _ends(entry: Mapping[str, Any], symbols: Mapping[str, int]) -> Iterator[Tensor]:
    for part in entry.get("ends", "embedding norm output").split():
        for text in ENDS[part].split(", "):
            yield _tensor("", text, symbols)


def _tensor(prefix: str, text: str, symbols: Mapping[str, int]) -> Tensor:
    name, *sizes = text.strip().split()
    bare = name.strip("!=#")
    dims = [_size(size, symbols) for size in sizes]
    full = prefix + (bare if name.endswith("=") or bare.endswith((".bias", ".scale")) else f"{bare}.weight")
    if name[0] == "#":
        return Tensor(full, dims, "I32")
    if name[0] == "!" or len(dims) == 1 or bare.endswith((".bias", "_norm")):
        return Tensor(full, dims, "F32")
    return Tensor(full, dims, _type(bare, dims[0]))


def _type(name: str, row: int) -> str:
    """A mixture such as publishers use: more bits for what is used most, Q8_0 where rows are too short for K quants."""
    if row % 256:
        return "Q8_0" if row % 32 == 0 else "F16"
    return "Q6_K" if "down" in name or name.startswith(("output", "attn_v")) else "Q4_K"


def _size(text: str, symbols: Mapping[str, int]) -> int:
    """Sums of products and quotients: 2*g*d+gv, k-rope, h*k/og."""
    total = 0
    for term in text.replace("-", "+-").split("+"):
        sign, product = (-1, 1) if term.startswith("-") else (1, 1)
        for factor in term.lstrip("-").split("*"):
            top, *bottoms = factor.split("/")
            product *= int(top) if top.isdigit() else symbols[top]
            for bottom in bottoms:
                product //= int(bottom) if bottom.isdigit() else symbols[bottom]
        total += sign * product
    return total


def _cycled(value: Any, count: int) -> Any:
    """A value for each layer from C({cycle: [...]}), after what C(first) lists; other values as they are."""
    if not isinstance(value, dict):
        return value
    first, cycle = value.get("first", []), value["cycle"]
    return (first + cycle * count)[: value.get("count", count)]


def _typed(value: Any) -> tuple[str, Any]:
    if isinstance(value, list):
        return (f"[{_typed(value[0])[0]}]", value)
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, str):
        return ("str", value)
    return ("f32" if isinstance(value, float) else "u32", value)
