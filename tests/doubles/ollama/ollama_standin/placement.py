# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a model lands on the GPUs: an estimate in the manner of Ollama's, made to be plausible, not exact."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence, Tuple

from .gguf import Gguf
from .gpus import OVERHEAD_BYTES

_BATCH = 512


class Placement(NamedTuple):
    """Bytes of a loaded model, all of them and those on GPUs, and the layers that went there."""

    size: int
    size_vram: int
    layers: int
    layers_total: int
    per_gpu: Sequence[int]


class DoesNotFit(Exception):
    """The layers that num_gpu asks for are more than the GPUs hold."""


def _layer_weights(header: Gguf) -> Tuple[List[int], int, int]:
    """Bytes of each block, of the output layer, and of what always stays in system memory."""
    blocks: Dict[int, int] = {}
    output = embedding = other = 0
    for tensor in header.tensors:
        parts = tensor.name.split(".")
        if parts[0] == "blk" and len(parts) > 1 and parts[1].isdigit():
            blocks[int(parts[1])] = blocks.get(int(parts[1]), 0) + tensor.size
        elif parts[0] in ("output", "output_norm"):
            output += tensor.size
        elif parts[0] == "token_embd":
            embedding += tensor.size
        else:
            other += tensor.size
    if not any(tensor.name == "output.weight" for tensor in header.tensors):
        output += embedding
    return [blocks[number] for number in sorted(blocks)], output, embedding + other


def place(header: Gguf, num_ctx: int, num_gpu: int, free: Sequence[int], overhead: int) -> Placement:
    """Lay the layers out: all on one GPU when they fit there, else one GPU after the other, the rest in memory."""
    blocks, output, host = _layer_weights(header)
    heads = header.of_architecture("attention.head_count", 1)
    embedding = header.of_architecture("embedding_length", 1)
    kv_heads = header.of_architecture("attention.head_count_kv", heads)
    key = header.of_architecture("attention.key_length", embedding // heads)
    value = header.of_architecture("attention.value_length", embedding // heads)
    cache = 2 * num_ctx * kv_heads * (key + value)
    vocabulary = len(header.kv.get("tokenizer.ggml.tokens") or ()) or 32000
    graph = max(4 * _BATCH * (1 + 4 * embedding + num_ctx * (1 + heads)), 4 * _BATCH * (embedding + vocabulary))
    layers = [size + cache for size in blocks] + [output]
    total = sum(layers) + host + graph
    wanted = len(layers) if num_gpu < 0 else min(num_gpu, len(layers))
    if not free or not wanted:
        return Placement(total, 0, 0, len(layers), [0] * len(free))
    room = [max(0, amount - overhead - OVERHEAD_BYTES - graph) for amount in free]
    # Layers go to the GPUs from the last one back, the output layer first, as llama.cpp offloads them.
    chosen = list(reversed(layers))[:wanted]
    single = [index for index in sorted(range(len(room)), key=lambda i: -room[i]) if room[index] >= sum(chosen)]
    used = [0] * len(room)
    if single:
        used[single[0]] = sum(chosen)
        placed = len(chosen)
    else:
        placed = gpu = 0
        for size in chosen:
            while gpu < len(room) and used[gpu] + size > room[gpu]:
                gpu += 1
            if gpu == len(room):
                break
            used[gpu] += size
            placed += 1
        if placed < wanted and num_gpu >= 0:
            raise DoesNotFit("cudaMalloc failed: out of memory")
    per_gpu = [amount + graph if amount else 0 for amount in used]
    if placed == len(layers):
        # Fully offloaded: all of it counts as GPU memory, the embeddings too, so that size and size_vram are equal.
        return Placement(total, total, placed, len(layers), per_gpu)
    return Placement(total, sum(used) + (graph if placed else 0), placed, len(layers), per_gpu)
