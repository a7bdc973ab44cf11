# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What of a model takes memory, from the facts of its GGUF header: weights, KV cache, working memory.

The numbers follow llama.cpp: weights and cache are its arithmetic (src/llama-model.cpp, src/llama-kv-cache.cpp), the
working memory is a formula whose constants were fitted to what llama-fit-params prints; tests hold it to 15 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import Block, Model
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.structure import Cache

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

    @property
    def streams(self) -> int:
        """Caches side by side: one for each slot, or one for all."""
        return 1 if self.unified else self.num_parallel

    def cache_cells(self, cache: Cache) -> int:
        """Cells of one stream (src/llama-kv-cache-iswa.cpp, llama-kv-cache-dsv4.cpp)."""
        cells = self.seen_cells
        if cache.ratio > 1:
            return _up(-(-cells // cache.ratio), CELLS)
        if cache.window and self.sliding_cache:
            return _up(min(cells, cache.window * (self.num_parallel if self.unified else 1) + self.batch), CELLS)
        return cells


def kv_bytes(model: Model, block: Block, load: Load) -> int:
    """What one block keeps of the past, all slots together: its KV cache, or the state of a recurrent layer in F32."""
    total = 4 * block.layer.state * load.num_parallel
    for cache in block.caches:
        cells = load.cache_cells(cache)
        values = cache.values if not model.latent or load.latent_values else 0
        if values and not load.flash_attention:
            values = max(values, model.widest_values)
        one = _cached(cache.keys * cells, load.key_type) + _cached(values * cells, load.value_type)
        total += one * load.streams
    return total


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
    windows = {cache.window for block in model.blocks for cache in block.caches if cache.ratio == 1}
    # Where every layer slides, none sees the whole context (src/llama-graph.cpp makes a mask for each kind there is).
    cells = [load.cache_cells(Cache(0, 0, window)) for window in sorted(windows)] or [load.seen_cells]
    if load.flash_attention:
        return sum(cells) * 0.5
    values = 0 if model.latent and not load.latent_values else model.widest_values
    return sum(cells) + 2 * values * len(cells)


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
