# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The facts of a model that placement needs, read from the facts of its GGUF header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.architectures import (
    JUDGED,
    KNOWN,
    MAX_LAYERS,
    SHARED_TWICE,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.structure import (
    STATE_KEYS,
    Cache,
    Layer,
    block_numbers,
    read_structure,
)

# No length or number of any model comes near; files may lie.
_MOST = 1 << 24


@dataclass(frozen=True)
class Block:
    """A layer and what its weights take, as far as they are loaded."""

    dense_bytes: int
    experts_bytes: int
    layer: Layer
    feed_forward: int = 0  # of a dense layer
    used: int = 0  # experts that compute a token
    expert_feed_forward: int = 0
    shared_experts: bool = False
    gated: bool = True  # whether the experts have a gate
    shape: int = 0  # the same for blocks that compute alike

    @property
    def caches(self) -> tuple[Cache, ...]:
        return self.layer.caches


@dataclass(frozen=True)
class Model:
    """The facts of a model that placement needs."""

    architecture: str
    name: str
    size_bytes: int
    embedding_bytes: int
    input_bytes: int  # what else a token looks up, in RAM
    output_bytes: int
    shared_output: bool  # the output uses the embedding's matrix: on a GPU that is a second copy of it
    blocks: tuple[Block, ...]
    embedding_length: int
    vocab_size: int
    feed_forward_length: int
    expert_used_count: int
    expert_feed_forward_length: int
    head_count: int
    head_count_kv: int
    key_length: int
    value_length: int
    kv_lora_rank: int  # 0: no multi-head latent attention
    rope_length: int
    latent_key_length: int  # of a head, once the latent cache is unfolded
    context_length: int
    inputs: int  # embeddings that a token brings along: more than one with deepstack layers
    hyper_connections: int  # residual streams; 1 for all but a few
    indexer_heads: int
    indexer_length: int
    block_sparse: bool  # the indexer chooses blocks of positions, for attention that is not latent
    compressed: bool  # caches that share a cell among several positions
    per_layer_inputs: int  # values that a token brings along for all layers
    alternating: bool  # whether it has several residual streams of which a layer uses one
    linear: bool  # recurrent layers without a key of their own for the state: linear attention
    kda_length: int
    ssm_inner: int
    ssm_state: int
    ssm_groups: int
    latent_experts: int  # length at which experts work, where that is not the embedding's
    listed: bool  # whether the facts list its tensors
    guesses: tuple[str, ...]
    unknown: tuple[str, ...]  # what of its structure is not understood

    @property
    def judged(self) -> bool:
        """Whether the conformance suite compares plans of this family with llama.cpp's own accounting."""
        return self.architecture in JUDGED

    @property
    def known(self) -> bool:
        return self.architecture in KNOWN

    @property
    def latent(self) -> bool:
        """Whether the file has the keys by which llama.cpp keeps a small, latent KV cache (MLA)."""
        return self.kv_lora_rank > 0

    @property
    def legacy_deepseek(self) -> bool:
        return self.architecture == "deepseek2" and not self.latent

    @property
    def gpu_output_bytes(self) -> int:
        """The output layer's matrices on a GPU."""
        return self.output_bytes + (self.embedding_bytes if self.shared_output else 0)

    @property
    def host_output_bytes(self) -> int:
        """The output layer's matrices in RAM, beside the embedding."""
        return self.gpu_output_bytes if self.architecture in SHARED_TWICE else self.output_bytes

    @property
    def widest_values(self) -> int:
        return max((cache.values for block in self.blocks for cache in block.caches), default=0)

    @property
    def has_experts(self) -> bool:
        return any(block.experts_bytes for block in self.blocks)

    @property
    def flash_attention_on_cuda(self) -> bool:
        """Whether ggml's CUDA backend has a flash-attention kernel for these heads (ggml-cuda/fattn.cu).

        Without one the scores of all heads over the whole context are kept: the reason why old DeepSeek files are dear.
        Heads of 192 and 128 have one where eight query heads or a multiple of that share one of keys.
        """
        if self.latent or self.key_length == self.value_length:
            return True
        group = self.head_count // max(self.head_count_kv, 1)
        return (self.key_length, self.value_length) == (192, 128) and group > 0 and group % 8 == 0


def model_from_facts(facts: Mapping[str, Any]) -> Model:
    """Reads the facts of gguf_info, of a lock or of the catalog; says which of the values it had to guess."""
    guesses: list[str] = []
    architecture = str(facts.get("architecture") or "unknown")
    name = str(facts.get("name") or architecture)

    def need(key: str) -> int:
        value = _first(facts.get(key))
        if not value or value < 0:
            raise GpuError(
                f"The facts of {name} have no {key}, so its memory cannot be computed.",
                "Give the facts that gguf_info returns, or a lock made by gguf_resolve.",
            )
        return value

    def maybe(key: str, default: int) -> int:
        value = _first(facts.get(key))
        return default if value is None or value < 0 else value

    block_count, embedding = min(need("block_count"), MAX_LAYERS), need("embedding_length")
    structure = read_structure(facts, architecture, need("block_count"))
    layers = structure.layers or (Layer(attention=True),) * block_count
    # A purely recurrent model has no heads; a header that says 0 without being one is not understood.
    recurrent = any(layer.recurrent for layer in layers)
    heads = maybe("head_count", 0) if recurrent or _first(facts.get("head_count")) == 0 else need("head_count")
    attending = [layer for layer in layers if layer.attention]
    widest = max(attending, key=lambda layer: layer.heads * layer.key_length, default=Layer())
    latent = bool(facts.get("key_length_mla")) and maybe("kv_lora_rank", 0) > 0
    heads_kv = _each(facts.get("head_count_kv"), block_count, heads)
    sizes = _sizes(facts, need, layers, block_count, guesses)
    feed_forward = maybe("feed_forward_length", 0)
    used = maybe("expert_used_count", 0)
    expert_ff = maybe("expert_feed_forward_length", 0)
    if used and not expert_ff:
        expert_ff = max(1, feed_forward // used)
        if not facts.get("block_tensors"):
            guesses.append(f"expert_feed_forward_length {expert_ff}")
    widths = _widths(facts, block_count)
    blocks = tuple(
        _block(
            layers[i],
            sizes.blocks[i],
            widths[i],
            feed_forward=_each(facts.get("feed_forward_length"), block_count, 0)[i],
            used=_each(facts.get("expert_used_count"), block_count, 0)[i],
            expert_feed_forward=expert_ff,
        )
        for i in range(block_count)
    )
    vocab = maybe("vocab_size", 0)
    if not vocab:
        vocab = 131072
        guesses.append(f"vocab_size {vocab}")
    keys = facts.get("hyperparameters")
    keys = keys if isinstance(keys, Mapping) else {}

    def key(name: str) -> int:
        value = _first(keys.get(name))
        return value if value and 0 < value <= _MOST else 0

    indexer = key("attention.indexer.key_length")
    compressed = any(cache.ratio > 1 for layer in layers for cache in layer.caches)
    return Model(
        architecture=architecture,
        name=name,
        size_bytes=int(facts.get("size_bytes") or 0),
        embedding_bytes=sizes.embedding,
        input_bytes=sizes.inputs,
        output_bytes=sizes.output,
        shared_output=sizes.tied,
        blocks=_shaped(blocks),
        embedding_length=embedding,
        vocab_size=vocab,
        feed_forward_length=max((block.feed_forward for block in blocks), default=0),
        expert_used_count=max((block.used for block in blocks), default=0),
        expert_feed_forward_length=max((block.expert_feed_forward for block in blocks), default=0),
        head_count=widest.heads or heads,
        head_count_kv=max(heads_kv),
        key_length=widest.key_length or maybe("key_length", embedding // heads if heads else 0),
        value_length=widest.value_length or maybe("value_length", embedding // heads if heads else 0),
        kv_lora_rank=maybe("kv_lora_rank", 0) if latent else 0,
        rope_length=_rope_length(facts),
        latent_key_length=maybe("key_length_mla", 0),
        context_length=maybe("context_length", 0),
        inputs=1 + (key("n_deepstack_layers")),
        hyper_connections=max(key("hyper_connection.count"), 1),
        indexer_heads=key("attention.indexer.head_count"),
        indexer_length=indexer,
        block_sparse=bool(indexer) and not latent and not compressed,
        compressed=compressed,
        per_layer_inputs=key("embedding_length_per_layer_input") * block_count,
        alternating=any("altup_router" in layer.tensors for layer in layers),
        linear=recurrent and not any(key(name) for name in STATE_KEYS),
        kda_length=key("kda.head_dim"),
        ssm_inner=key("ssm.inner_size"),
        ssm_state=key("ssm.state_size"),
        ssm_groups=key("ssm.group_count"),
        latent_experts=key("moe_latent_size"),
        listed=bool(facts.get("block_tensors")),
        guesses=tuple(guesses),
        unknown=structure.unknown,
    )


def _block(
    layer: Layer,
    sizes: tuple[int, int],
    widths: Mapping[str, int],
    *,
    feed_forward: int,
    used: int,
    expert_feed_forward: int,
) -> Block:
    dense, experts = sizes
    if not layer.loaded:
        return Block(dense, experts, layer)
    has_experts = experts > 0
    return Block(
        dense,
        experts,
        layer,
        feed_forward=max(widths.get("ffn_down", 0), widths.get("ffn_down_shexp", 0)) if widths else feed_forward,
        used=used if has_experts else 0,
        expert_feed_forward=(
            max(widths.get("ffn_down_exps", 0), widths.get("ffn_down.N", 0)) if widths else expert_feed_forward
        )
        if has_experts
        else 0,
        shared_experts="ffn_down_shexp" in widths,
        gated=not layer.tensors or bool(layer.tensors & {"ffn_gate_exps", "ffn_gate_up_exps", "ffn_gate.N"}),
    )


def _shaped(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Numbers blocks by what they compute, whatever their weights take."""
    shapes: dict[Block, int] = {}
    return tuple(
        replace(block, shape=shapes.setdefault(replace(block, dense_bytes=0, experts_bytes=0), len(shapes)))
        for block in blocks
    )


def _widths(facts: Mapping[str, Any], block_count: int) -> list[Mapping[str, int]]:
    """The inner lengths of each block's feed-forward parts, from its tensors; nothing where the facts lack them."""
    found: list[Mapping[str, int]] = [{} for _number in range(block_count)]
    for kind in facts.get("block_tensors") or ():
        for number in block_numbers(str(kind.get("blocks", "")), block_count):
            found[number] = kind.get("widths") or {}
    return found


def _skipped_bytes(facts: Mapping[str, Any], number: int, layer: Layer) -> tuple[int, int]:
    """What is loaded of a layer that does not run: (dense, experts)."""
    dense = experts = 0
    for kind in facts.get("block_tensors") or ():
        if number in block_numbers(str(kind.get("blocks", "")), number + 1):
            for name, size in zip(kind.get("tensors") or (), kind.get("bytes") or ()):
                if name in (layer.loaded_tensors or ()):
                    if "_exps" in name:
                        experts += int(size)
                    else:
                        dense += int(size)
    return dense, experts


def _rope_length(facts: Mapping[str, Any]) -> int:
    rope = facts.get("rope")
    value = rope.get("dimension_count") if isinstance(rope, Mapping) else None
    return _first(value) or 0


@dataclass(frozen=True)
class _Sizes:
    embedding: int
    inputs: int
    output: int
    tied: bool
    blocks: tuple[tuple[int, int], ...]


def _sizes(
    facts: Mapping[str, Any], need: Any, layers: Sequence[Layer], block_count: int, guesses: list[str]
) -> _Sizes:
    stated = facts.get("tensor_bytes") or {}
    listed = stated.get("blocks") or []
    if len(listed) < block_count:
        return _guessed_sizes(facts, need, block_count, guesses)
    embedding, output = int(stated["embedding"]), int(stated["output"])
    return _Sizes(
        embedding,
        int(stated.get("input") or 0),
        output,
        # Older locks do not tell; an output of its own is as large as the embedding.
        bool(stated.get("tied_output", output < embedding // 100)),
        tuple(
            (int(listed[number]["dense"]), int(listed[number]["experts"]))
            if layers[number].loaded
            else _skipped_bytes(facts, number, layers[number])
            for number in range(block_count)
        ),
    )


# Most publishers keep what every token uses at four to five bits a weight.
_DENSE_BYTES_PER_WEIGHT = 4.5 / 8


def _guessed_sizes(facts: Mapping[str, Any], need: Any, block_count: int, guesses: list[str]) -> _Sizes:
    """Before any header was read, the catalog knows a size and the dimensions: the rest is spread evenly."""
    guesses.append("equal blocks, as only the whole size is known")
    size, e = need("size_bytes"), need("embedding_length")
    end = min(int((_first(facts.get("vocab_size")) or 0) * e * _DENSE_BYTES_PER_WEIGHT), size // 10)
    has_experts = bool(_first(facts.get("expert_count")))
    leading = min(_first(facts.get("leading_dense_block_count")) or 0, block_count) if has_experts else 0
    # Its feed-forward, and half as much for its attention.
    dense = int(4.5 * e * (_first(facts.get("feed_forward_length")) or 4 * e) * _DENSE_BYTES_PER_WEIGHT)
    each = (size - 2 * end - leading * dense) // max(block_count - leading, 1)
    experts = each * 19 // 20 if has_experts else 0
    blocks = ((dense, 0),) * leading + ((each - experts, experts),) * (block_count - leading)
    return _Sizes(end, 0, end, False, blocks)


def _first(value: Any) -> Optional[int]:
    """A number, or the largest of a list with one for each block."""
    if isinstance(value, (list, tuple)):
        numbers = [item for item in value if isinstance(item, int)]
        return max(numbers, default=None)
    return value if isinstance(value, int) else None


def _each(value: Any, count: int, default: int) -> tuple[int, ...]:
    if isinstance(value, (list, tuple)) and len(value) >= count:
        return tuple(item if isinstance(item, int) and 0 <= item <= _MOST else default for item in value[:count])
    number = _first(value)
    return ((default if number is None or not 0 <= number <= _MOST else number),) * count
