# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Working memory of one device: the widest moment of its graph, a batch of tokens at a time.

What is alive at that moment follows from the graphs of src/models/*.cpp and src/llama-graph.cpp (b11434); how much
lies beside it, in embeddings of a token, was fitted to what llama-fit-params prints, rather too large than too small.
Tests hold it to 15 %. All sizes here are values of four bytes a token.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.memory import Load, kv_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import Block, Model
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.structure import Cache

COPIES = 4  # of its inputs that llama.cpp keeps for a pipeline (GGML_SCHED_MAX_COPIES)


@dataclass(frozen=True)
class Part:
    """The part of the graph that one device computes."""

    first: bool = False  # the first of several GPUs
    entry: bool = False  # the first GPU of a model without a layer on the host: gets what the tokens bring along
    output: bool = False
    blocks: tuple[Block, ...] = ()
    host: bool = False
    experts_only: bool = False  # the host computes the experts of some blocks and nothing else of them
    experts_elsewhere: bool = False  # a GPU computes all of its blocks but their experts
    some_elsewhere: bool = False  # the same of some of its blocks
    pipelined: bool = False  # several GPUs, all blocks and the output on them: llama.cpp keeps four copies of inputs
    whole: bool = False  # one GPU with all blocks

    @property
    def roomy(self) -> bool:
        """Whether it is the host, or a single GPU, where the inputs stay for as long as the graph runs."""
        return self.host or self.whole


@dataclass(frozen=True)
class _Beside:
    """Residuals and copies beside the widest operation, in embeddings of a token."""

    dense: float
    experts: float
    attention: float
    sparse: float  # attention with an indexer
    recurrent: float


_PIPELINED = _Beside(dense=11, experts=11, attention=12, sparse=22, recurrent=12)
_ROOMY = _Beside(dense=5, experts=5, attention=5, sparse=18, recurrent=2)
_GPU = _Beside(dense=2, experts=3, attention=5, sparse=10.5, recurrent=0)

# Graphs that keep more beside their widest operation than others, on one of several GPUs and in a pipeline: scales of
# the queries, a scale of each layer, attention and experts of the same input.
_MORE = {"llama4": (4.0, 0.0), "gemma4": (3.0, 0.0), "cohere2moe": (2.0, 14.0)}
# Where the last layer leaves the experts' place before the output, so that the logits lie behind them.
_EXPERTS_BEFORE_OUTPUT = {"hunyuan-moe": 2, "granitehybrid": 8}


def compute_bytes(model: Model, load: Load, part: Part) -> int:
    tokens = min(load.batch, load.num_ctx)
    shapes = tuple({block.shape: block for block in part.blocks}.values())
    return int(_values(model, load, part, shapes) * 4 * tokens)


def _values(model: Model, load: Load, part: Part, shapes: tuple[Block, ...]) -> float:
    e = model.embedding_length
    deepstack = (model.inputs - 1) * e
    inputs = _inputs(model, load) * (COPIES if part.pipelined else 1)
    if part.experts_only:
        return _experts_of_gpus(model, part, inputs)
    if part.host and not part.blocks:
        return inputs + (10 * e + 8 * deepstack if part.pipelined else 4 * e)
    widest = max((_widest(model, load, part, shape) for shape in shapes), default=0)
    widest += inputs if part.blocks else 0
    if part.roomy or (part.pipelined and part.entry):
        widest += 6 * deepstack
    elif part.entry:
        widest = max(widest, inputs + 8.5 * deepstack)
    if part.pipelined:
        widest += (11 if model.block_sparse else 5) * e if part.first else _later_in_pipeline(model, part)
    widest += _borrowed(model, load, part)
    widest += _per_layer_inputs(model, part)
    widest += _block_masks(model, load, part)
    return max(widest, _last(model, load, part, inputs, widest)) if part.output else widest


def _later_in_pipeline(model: Model, part: Part) -> float:
    """What the graph keeps on the second and later GPUs of a pipeline."""
    e = model.embedding_length
    if model.compressed:
        return 25 * e
    scans = sum(1 for block in part.blocks if _is_mamba2(block) and not block.layer.attention)
    return max(0.0, 0.82 * scans - 7) * e


def _is_mamba2(block: Block) -> bool:
    return {"ssm_in", "ssm_d"} <= block.layer.tensors and "ssm_x" not in block.layer.tensors


def _borrowed(model: Model, load: Load, part: Part) -> float:
    """Copies of caches that lie elsewhere, for layers that read them in place of one of their own (gemma4.cpp)."""
    if part.host or all(block.caches or not block.layer.attention for block in part.blocks):
        return 0
    sources = {block.caches[0].window: block for block in model.blocks if block.caches}.values()
    away = sum(kv_bytes(model, block, load) for block in sources if not any(block is own for own in part.blocks))
    return away * (COPIES if part.pipelined else 1) / 4 / min(load.batch, load.num_ctx)


def _experts_of_gpus(model: Model, part: Part, inputs: float) -> float:
    """The host computes the experts of blocks on GPUs."""
    e = model.embedding_length
    work = max((_experts(model, block, strictly=True) for block in model.blocks), default=0) + 2 * e
    # A single GPU has its inputs before the first experts are computed, so that their room is free again by then.
    if part.whole:
        return max(work + min(2 * e, inputs), inputs + 10 * e)
    # The masks of block-sparse attention (minimax-m3.cpp) are needed on GPUs alone.
    return work + (inputs / 4 if model.block_sparse else inputs)


def _inputs(model: Model, load: Load) -> float:
    """What a token of a batch brings along: attention masks, and where its values go in the cache.

    A mask has 16 bits a position with flash attention and 32 without. Without it the V cache is transposed as well, so
    that each value has a 64-bit place of its own (src/llama-kv-cache.cpp). Each kind of cache has a set of both.
    """
    kinds = {(cache.window, cache.ratio) for block in model.blocks for cache in block.caches}
    cells = [load.cache_cells(Cache(0, 0, window, ratio)) for window, ratio in sorted(kinds)]
    if model.indexer_length and not model.block_sparse:
        # A mask for the indexer's own cache (build_attn_inp_k_dsa), and one of DeepSeek-V4's compressed keys.
        ratios = [ratio for _window, ratio in kinds if ratio > 1]
        cells.append(load.cache_cells(Cache(0, 0, 0, min(ratios, default=1))))
    decays = model.head_count * _tokens_of_a_slot(load) if model.linear else 0
    if load.flash_attention:
        return sum(cells) * 0.5 + decays
    values = 0 if model.latent and not load.latent_values else model.widest_values
    return sum(cells) + 2 * values * len(cells) + decays


def _tokens_of_a_slot(load: Load) -> int:
    """A batch's share of each slot: linear attention looks at every pair of them (minimax-01.cpp)."""
    return min(load.batch, load.num_ctx) // load.num_parallel


def _widest(model: Model, load: Load, part: Part, block: Block) -> float:
    """The widest of what a block does: dense feed-forward, experts, attention, recurrent state."""
    e = model.embedding_length
    beside = _PIPELINED if part.pipelined else _ROOMY if part.roomy else _GPU
    more = 0.0 if part.roomy else _MORE.get(model.architecture, (0.0, 0.0))[part.pipelined]
    widest = [3 * block.feed_forward + (5 if part.experts_elsewhere else beside.dense + more) * e]
    if block.used and part.experts_elsewhere:
        length = model.latent_experts or e
        widest.append(block.used * length + (5 if block.shared_experts else 4) * e + more * e)
        if part.output and not block.shared_experts:
            widest.append(2 * block.used * length + e)
    elif block.used:
        own = beside.experts
        if beside is _GPU:
            beyond = block.gated and 2 * block.expert_feed_forward <= e
            own += 1 if block.shared_experts else 3 if beyond else 0
        widest.append(_experts(model, block, strictly=beside is not _GPU) + (own + more) * e)
    if block.layer.attention:
        widest.append(_attention(model, load, part, block, beside) + more * e)
    if block.layer.recurrent:
        # Copies of the states that a batch starts from and ends with, whose size no batch changes.
        states = 1.5 * block.layer.state * load.num_parallel / min(load.batch, load.num_ctx)
        scan = _recurrence(model, load, block) + beside.recurrent * e + states
        # A layer that has both (falcon-h1.cpp) keeps one while it computes the other.
        widest.append(scan + (block.layer.heads * block.layer.key_length + 6.5 * e if block.layer.attention else 0))
    return max(widest)


def _experts(model: Model, block: Block, *, strictly: bool) -> float:
    """Gate, up and what they make of it live together; the way down takes the room of two of them where it can."""
    length, inner = model.latent_experts or model.embedding_length, block.expert_feed_forward
    if not block.gated:
        return block.used * (inner + length * (1 if strictly or inner >= length else 2))
    beyond = 2 * inner < length if strictly else 2 * inner <= length
    return block.used * (3 * inner + (length if beyond else 0))


def _attention(model: Model, load: Load, part: Part, block: Block, beside: _Beside) -> float:
    e, layer = model.embedding_length, block.layer
    cells = max((load.cache_cells(cache) for cache in block.caches if cache.ratio == 1), default=load.seen_cells)
    scores = 0 if load.flash_attention else layer.heads * cells
    if model.compressed:
        # deepseek4.cpp: queries and what they found, beside the residual streams; scores of the compressed keys.
        streams = 2 * model.hyper_connections * e
        return 2 * layer.heads * layer.key_length + streams + scores + load.seen_cells / 8 + beside.attention * e
    if model.latent:
        unfolded = layer.heads * (2 * model.kv_lora_rank + model.rope_length + model.latent_key_length)
        if not model.indexer_length:
            return unfolded + scores + beside.attention * e
        sparse = 16 if part.some_elsewhere and beside is _GPU else beside.sparse
        return unfolded + scores + load.seen_cells + sparse * e
    folds = 3 if model.legacy_deepseek else 1
    # One slot after the other (minimax-m3.cpp).
    blocks = 9.5 * load.seen_cells / load.streams if model.block_sparse and layer.indexer else 0
    return folds * layer.heads * layer.key_length + scores + blocks + beside.attention * e


def _recurrence(model: Model, load: Load, block: Block) -> float:
    """Projections, the convolution's steps and what the scan gives (src/models/mamba-base.cpp, delta-net-base.cpp)."""
    e, names = model.embedding_length, block.layer.tensors
    if any(name.startswith("shortconv.") for name in names):
        return 13 * e
    if model.kda_length:
        return 15 * model.head_count * model.kda_length
    inner, size = model.ssm_inner, model.ssm_state
    convolved = inner + 2 * model.ssm_groups * size
    if "ssm_x" in names:
        return 6 * inner + e
    if _is_mamba2(block):
        return 2 * inner + 2 * model.ssm_groups * size + 3 * convolved + 2 * inner + e
    if inner:
        return 3 * convolved + 3 * inner
    if model.linear:
        return model.head_count * (2 * _tokens_of_a_slot(load) + 7 * model.key_length)
    return 15 * e


def _per_layer_inputs(model: Model, part: Part) -> float:
    """Gemma's embeddings for each layer, and the streams of its small models (gemma3n.cpp, gemma4.cpp)."""
    streams = 4 * model.embedding_length if model.alternating else 0
    if part.host or not model.per_layer_inputs:
        return 0
    return COPIES * model.per_layer_inputs + 9 * streams if part.pipelined else model.per_layer_inputs + streams


def _block_masks(model: Model, load: Load, part: Part) -> float:
    """Position masks in F32 of each block-sparse layer (minimax-m3.cpp), where a device cannot reuse their room."""
    if not model.block_sparse or part.host or part.whole or part.experts_elsewhere:
        return 0
    layers = sum(1 for block in part.blocks if block.layer.indexer)
    if part.pipelined:
        return 0 if part.first else (4 * load.seen_cells + model.embedding_length) * layers
    return 0.95 * load.seen_cells * layers


def _last(model: Model, load: Load, part: Part, inputs: float, widest: float) -> float:
    """The moment of the output: logits, and what lies before them."""
    e, vocab = model.embedding_length, model.vocab_size
    last = max((block for block in part.blocks), key=lambda block: block.used, default=None)
    used, shared = (last.used, last.shared_experts) if last else (0, False)
    before = _EXPERTS_BEFORE_OUTPUT.get(model.architecture)
    # A shared expert that is wider than all that the routed ones gave comes after them.
    wide = last is not None and shared and 2 * last.feed_forward > used * (model.latent_experts or e)
    if part.pipelined:
        behind = used + 2 if model.architecture == "hunyuan-moe" or wide else 0
        before_it = (9 + behind) * e + inputs + _per_layer_inputs(model, part)
        # Compressed caches leave no room for the logits within what the layers took.
        return vocab + max(before_it + _borrowed(model, load, part), 0.75 * widest if model.compressed else 0)
    deepstack = (model.inputs - 1) * e
    if part.roomy and model.latent and model.indexer_length:
        return vocab + max(5 * e + inputs, 0.7 * widest)
    if part.whole:
        return vocab + 4 * e + inputs + 5 * deepstack
    if part.host:
        # Logits no longer than the masks take their place.
        return (max(vocab, inputs) if vocab <= inputs else vocab + inputs) + 5 * e + 6 * deepstack
    if model.per_layer_inputs:
        streams = 18 * e if model.alternating else 0
        # Copies of long caches do not fit beside the logits.
        copies = _borrowed(model, load, part) * load.num_parallel if load.num_ctx >= 32768 else 0
        beside_it = max((1.5 if model.alternating else 3) * inputs, inputs + copies)
        return vocab + 2.3 * model.per_layer_inputs + streams + beside_it + e
    if part.experts_elsewhere and used:
        found = used * (model.latent_experts or e) + (5 if model.compressed else 3) * e
        return vocab + (found if shared and model.architecture != "cohere2moe" else 5 * e)
    if wide:
        return vocab + (used + 3) * e
    if before is not None and used and not (model.ssm_inner and load.num_parallel > 1):
        return vocab + (used + before + 1) * e
    return vocab + (9 if model.compressed else 7 if model.latent and model.indexer_length else 3) * e
