# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""How Ollama before 0.12.11 estimates memory and deals blocks to GPUs (llm/memory.go and llm/ggml.go of v0.5.7).

Its estimate decides num_gpu when none is given, and the split in any case. It is not what a load really takes.
"""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import Device
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.memory import Load
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import Model

MINIMUM_BYTES = 457 * 1024 * 1024


def deal(model: Model, devices: Sequence[Device], load: Load, wanted: int) -> list[int]:
    """Layers for each GPU when at most C(wanted) layers are asked for. All zeros: it would use no GPU."""
    context = load.num_ctx * load.num_parallel
    block_count = len(model.blocks)
    kv_layer = 2 * context * (model.key_length + model.value_length) * model.head_count_kv
    sizes = [block.dense_bytes + block.experts_bytes + kv_layer for block in model.blocks]
    partial, full = graph_bytes(model, context, min(context, load.batch), kv_layer * block_count)
    if len(devices) > 1:
        full = partial
    graph = max(partial, full)
    open_devices = [
        number for number, device in enumerate(devices) if device.usable_bytes >= graph + MINIMUM_BYTES + 2 * sizes[0]
    ]
    used = dict.fromkeys(open_devices, MINIMUM_BYTES + sizes[0] + graph)
    counts = [0] * len(devices)
    dealt = 0
    for position, size in enumerate(sizes):
        if dealt >= wanted:
            break
        while open_devices:
            place = position % len(open_devices)
            number = open_devices[place]
            if devices[number].usable_bytes > used[number] + size:
                used[number] += size
                counts[number] += 1
                dealt += 1
                break
            # As there: the rest of the model never comes back to a GPU that was once too full.
            del open_devices[place]
    if dealt == block_count and dealt < wanted and open_devices:
        number = open_devices[dealt % len(open_devices)]
        if devices[number].usable_bytes > used[number] + model.gpu_output_bytes:
            counts[number] += 1
    return counts


def graph_bytes(model: Model, context: int, batch: int, kv: int) -> tuple[int, int]:
    """Its guess of the working memory: (with a part of the model on GPUs, with all of it)."""
    e, vocab, heads, heads_kv = model.embedding_length, model.vocab_size, model.head_count, model.head_count_kv
    key = model.key_length
    if model.architecture == "deepseek2":
        full = max(
            4 * batch * (3 * e + vocab),
            4 * batch * (3 * e + 2 + context * (1 + heads_kv) + 2 * key * heads_kv),
        )
        partial = max(
            4 * batch * (3 * e + vocab) + e * vocab * 105 // 128,
            4 * batch * (2 * e + 1 + 2 * key * heads_kv + context + context * heads_kv)
            + 4 * key * context * heads_kv
            + e * key * heads_kv * 9 // 16,
        )
        return partial, full
    if model.architecture in ("llama", "qwen2"):
        full = max(4 * batch * (1 + 4 * e + context * (1 + heads)), 4 * batch * (e + vocab))
        partial = 4 * batch * e + max(
            4 * batch * (1 + e + max(context, e)) + e * e * 9 // 16 + 4 * context * (batch * heads + key * heads_kv),
            4 * batch * (e + vocab) + e * vocab * 105 // 128,
        )
        return partial, full
    unknown = max(1, heads // max(heads_kv, 1)) * kv // 6
    return unknown, unknown
