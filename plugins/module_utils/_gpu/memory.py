# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""How a model is asked to run, and what its layers keep of the past by that: KV cache and recurrent states.

The numbers are llama.cpp's own arithmetic (src/llama-kv-cache.cpp and its relatives, src/llama-memory-recurrent.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass

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


def largest_matrix_bytes(model: Model, on_host: list[Block]) -> int:
    """The largest single matrix among blocks on the host, as near as sums tell: one of a block's three expert matrices.

    For batches CUDA fetches the host's matrices one by one and computes with them itself, so one of them must fit.
    """
    return max((max(block.experts_bytes, block.dense_bytes) // 3 for block in on_host), default=0)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
