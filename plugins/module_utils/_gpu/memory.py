# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What of a model takes memory, from the facts of its GGUF header: weights, KV cache, working memory.

The numbers follow llama.cpp: weights and cache are its arithmetic (src/llama-model.cpp, src/llama-kv-cache.cpp), the
working memory is a formula whose constants were fitted to what llama-fit-params prints; tests hold it to 15 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError

# Bytes of one cached value: (bytes of a block, values in a block).
KV_TYPES: dict[str, tuple[int, int]] = {
    "f32": (4, 1),
    "f16": (2, 1),
    "bf16": (2, 1),
    "q8_0": (34, 32),
    "q5_1": (24, 32),
    "q5_0": (22, 32),
    "q4_1": (20, 32),
    "q4_0": (18, 32),
    "iq4_nl": (18, 32),
}
CELLS = 256  # llama.cpp rounds the cells of a cache up to this

# Blocks in a period of sliding-window attention; the last of each period sees the whole context. From the models'
# loaders in llama.cpp (src/models): their headers tell the window but not the period.
SLIDING_PERIODS = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4}


@dataclass(frozen=True)
class Block:
    dense_bytes: int
    experts_bytes: int
    key_values: int  # cached values a token
    value_values: int
    sliding: bool


@dataclass(frozen=True)
class Model:
    """The facts of a model that placement needs."""

    architecture: str
    name: str
    size_bytes: int
    embedding_bytes: int
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
    window: int
    context_length: int
    guesses: tuple[str, ...]

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
    def has_experts(self) -> bool:
        return any(block.experts_bytes for block in self.blocks)

    @property
    def flash_attention_on_cuda(self) -> bool:
        """Whether ggml's CUDA backend has a flash-attention kernel for these heads (ggml-cuda/fattn.cu).

        Without one the scores of all heads over the whole context are kept: the reason why old DeepSeek files are dear.
        """
        return self.latent or self.key_length == self.value_length


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

    block_count, embedding, heads = need("block_count"), need("embedding_length"), need("head_count")
    key_length = maybe("key_length", embedding // heads)
    value_length = maybe("value_length", embedding // heads)
    latent = bool(facts.get("key_length_mla")) and maybe("kv_lora_rank", 0) > 0
    heads_kv = _each(facts.get("head_count_kv"), block_count, heads)
    window = maybe("sliding_window", 0)
    period = SLIDING_PERIODS.get(architecture, 0) if window else 0
    sizes = _sizes(facts, need, block_count, guesses)
    blocks = tuple(
        Block(
            dense_bytes=sizes.blocks[i][0],
            experts_bytes=sizes.blocks[i][1],
            key_values=heads_kv[i] * key_length,
            value_values=heads_kv[i] * value_length,
            sliding=bool(period) and i % period < period - 1,
        )
        for i in range(block_count)
    )
    vocab = maybe("vocab_size", 0)
    if not vocab:
        vocab = 131072
        guesses.append(f"vocab_size {vocab}")
    used = maybe("expert_used_count", 0)
    expert_ff = maybe("expert_feed_forward_length", 0)
    if used and not expert_ff:
        expert_ff = max(1, maybe("feed_forward_length", 4 * embedding) // used)
        guesses.append(f"expert_feed_forward_length {expert_ff}")
    return Model(
        architecture=architecture,
        name=name,
        size_bytes=int(facts.get("size_bytes") or 0),
        embedding_bytes=sizes.embedding,
        output_bytes=sizes.output,
        shared_output=sizes.output < sizes.embedding // 100,
        blocks=blocks,
        embedding_length=embedding,
        vocab_size=vocab,
        feed_forward_length=maybe("feed_forward_length", 4 * embedding),
        expert_used_count=used,
        expert_feed_forward_length=expert_ff,
        head_count=heads,
        head_count_kv=max(heads_kv),
        key_length=key_length,
        value_length=value_length,
        kv_lora_rank=maybe("kv_lora_rank", 0) if latent else 0,
        rope_length=_rope_length(facts),
        latent_key_length=maybe("key_length_mla", 0),
        window=window,
        context_length=maybe("context_length", 0),
        guesses=tuple(guesses),
    )


def _rope_length(facts: Mapping[str, Any]) -> int:
    rope = facts.get("rope")
    value = rope.get("dimension_count") if isinstance(rope, Mapping) else None
    return _first(value) or 0


@dataclass(frozen=True)
class _Sizes:
    embedding: int
    output: int
    blocks: tuple[tuple[int, int], ...]


def _sizes(facts: Mapping[str, Any], need: Any, block_count: int, guesses: list[str]) -> _Sizes:
    stated = facts.get("tensor_bytes") or {}
    listed = stated.get("blocks") or []
    if len(listed) >= block_count:
        embedding, output = int(stated["embedding"]), int(stated["output"])
        return _Sizes(
            embedding, output, tuple((int(block["dense"]), int(block["experts"])) for block in listed[:block_count])
        )
    return _guessed_sizes(facts, need, block_count, guesses)


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
    return _Sizes(end, end, blocks)


def _first(value: Any) -> Optional[int]:
    """A number, or the largest of a list with one for each block."""
    if isinstance(value, (list, tuple)):
        numbers = [item for item in value if isinstance(item, int)]
        return max(numbers, default=None)
    return value if isinstance(value, int) else None


def _each(value: Any, count: int, default: int) -> tuple[int, ...]:
    if isinstance(value, (list, tuple)) and len(value) >= count:
        return tuple(int(item) for item in value[:count])
    number = _first(value)
    return ((default if number is None else number),) * count


@dataclass(frozen=True)
class Load:
    """How the model is asked to run."""

    num_ctx: int  # tokens of one slot
    num_parallel: int = 1
    key_type: str = "f16"
    value_type: str = "f16"
    flash_attention: bool = True
    batch: int = 512
    latent_values: bool = False  # engines before January 2026 keep the V of a latent cache too
    sliding_cache: bool = True  # engines before May 2025 keep the whole context for sliding blocks too
    unified: bool = False  # all slots share one cache, so that each may see all of it

    @property
    def cells(self) -> int:
        """Cached positions of one slot."""
        return _up(self.num_ctx, CELLS)

    @property
    def seen_cells(self) -> int:
        """Positions that the working memory must be ready to attend to."""
        return self.cells * (self.num_parallel if self.unified else 1)

    def sliding_cells(self, window: int) -> int:
        return min(self.cells, _up(window + self.batch, CELLS)) if self.sliding_cache else self.cells


def kv_bytes(model: Model, block: Block, load: Load) -> int:
    """The KV cache of one block, all slots together."""
    cells = load.sliding_cells(model.window) if block.sliding else load.cells
    values = block.value_values if not model.latent or load.latent_values else 0
    one_slot = _cached(block.key_values * cells, load.key_type) + _cached(values * cells, load.value_type)
    return one_slot * load.num_parallel


def _cached(values: int, kv_type: str) -> int:
    if kv_type not in KV_TYPES:
        raise GpuError(f"There is no KV cache type {kv_type}.", f"Use one of {', '.join(KV_TYPES)}.")
    size, block = KV_TYPES[kv_type]
    return values * size // block


@dataclass(frozen=True)
class Part:
    """The part of the graph that one device computes."""

    first: bool = False  # the first of several GPUs
    output: bool = False
    blocks: int = 0
    host: bool = False
    experts_only: bool = False  # the host computes the experts of some blocks and nothing else of them
    experts_elsewhere: bool = False  # a GPU computes all of its blocks but their experts
    pipelined: bool = False  # several GPUs, all blocks and the output on them: llama.cpp keeps four copies of inputs
    whole: bool = False  # one GPU with all blocks


COPIES = 4


def compute_bytes(model: Model, load: Load, part: Part) -> int:
    """Working memory of one device: the widest moment of its graph, a batch of tokens at a time."""
    e = model.embedding_length
    inputs = _inputs(model, load) * (COPIES if part.pipelined else 1)
    if part.experts_only:
        work = model.expert_used_count * (e + 3 * model.expert_feed_forward_length) + 2 * e
        # A single GPU has its inputs before the first experts are computed, so that their room is free again by then.
        return _batch(load, max(work + min(2 * e, inputs), inputs + 10 * e) if part.whole else work + inputs)
    if part.host and part.blocks == 0:
        return _batch(load, inputs + (10 if part.pipelined else 4) * e)
    widest = _widest_block(model, load, part) + inputs if part.blocks else 0
    if part.pipelined and part.first:
        widest += 5 * e
    if part.output:
        if part.pipelined:
            last = model.vocab_size + 9 * e + inputs
        elif part.whole:
            last = model.vocab_size + 4 * e + inputs
        elif part.host:
            last = model.vocab_size + 5 * e + inputs
        else:
            last = model.vocab_size + e
        widest = max(widest, last)
    return _batch(load, widest)


def _batch(load: Load, values_per_token: Union[int, float]) -> int:
    return int(values_per_token * 4 * min(load.batch, load.num_ctx))


def _inputs(model: Model, load: Load) -> float:
    """What a token of a batch brings along: attention masks, and where its values go in the cache.

    A mask has 16 bits a position with flash attention and 32 without. Without it the V cache is transposed as well, so
    that each value has a 64-bit place of its own (src/llama-kv-cache.cpp). Sliding blocks have a second set of both.
    """
    caches = [load.seen_cells]
    if any(block.sliding for block in model.blocks):
        caches.append(load.sliding_cells(model.window))
    if load.flash_attention:
        return sum(caches) * 0.5
    values = 0 if model.latent and not load.latent_values else max(block.value_values for block in model.blocks)
    return sum(caches) + 2 * values * len(caches)


# Residuals and copies beside the widest operation, in embeddings a token: (dense, experts, attention). Fitted.
_BESIDE_PIPELINED = (11.0, 7.0, 12.0)
_BESIDE_HOST = (5.0, -0.5, 5.0)
_BESIDE_GPU = (2.0, -0.5, 5.0)


def _widest_block(model: Model, load: Load, part: Part) -> float:
    """Values a token at the widest of: dense feed-forward, experts, attention."""
    e = model.embedding_length
    dense_e, experts_e, attention_e = (
        _BESIDE_PIPELINED if part.pipelined else _BESIDE_HOST if part.host or part.whole else _BESIDE_GPU
    )
    widest = [3 * model.feed_forward_length + dense_e * e]
    if model.expert_used_count:
        used = model.expert_used_count
        if part.experts_elsewhere:
            widest.append((used + 4) * e)  # what the experts gave
        else:
            widest.append(2 * used * (e + model.expert_feed_forward_length) + experts_e * e)
    heads = model.head_count
    scores = 0 if load.flash_attention else heads * load.seen_cells
    if model.latent:
        unfolded = heads * (2 * model.kv_lora_rank + model.rope_length + model.latent_key_length)
        widest.append(unfolded + scores + attention_e * e)
    else:
        folds = 3 if model.legacy_deepseek else 1
        widest.append(folds * heads * model.key_length + scores + attention_e * e)
    return max(widest)


def largest_matrix_bytes(model: Model, on_host: list[Block]) -> int:
    """The largest single matrix among blocks on the host, as near as sums tell: one of a block's three expert matrices.

    For batches CUDA fetches the host's matrices one by one and computes with them itself, so one of them must fit.
    """
    return max((max(block.experts_bytes, block.dense_bytes) // 3 for block in on_host), default=0)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
