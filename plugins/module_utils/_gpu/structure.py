# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What each layer of a model is, from the keys and tensors of its file: what it keeps of the past, and whether it runs.

The rules are those of llama.cpp b11434: src/llama-hparams.cpp (lengths, states), src/llama-model.cpp create_memory()
(which layer has which memory), src/llama-kv-cache-{iswa,dsa,msa,dsv4}.cpp and src/llama-memory-recurrent.cpp (sizes).
What contradicts itself or has no rule here is named, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.architectures import (
    BLOCK_TENSORS,
    CACHED_BLOCKS,
    FULL_ATTENTION_INTERVAL,
    KNOWN,
    MAX_EXPERTS,
    MAX_LAYERS,
    NOT_UNDERSTOOD,
    PARTLY_SKIPPED,
    REQUIRED_KEYS,
    SLIDING,
    SPARSE_INDEXER_CONTEXT,
    SUFFIXES,
    Sliding,
)

# No head, window, state or rank of any model comes near.
_MOST = 1 << 24
_CSA, _HCA = 4, 128  # DeepSeek-V4's compressed caches: one cell for so many tokens


@dataclass(frozen=True)
class Cache:
    """Values that a layer keeps of each position, in the types of the KV cache."""

    keys: int
    values: int
    window: int = 0  # 0: of the whole context
    ratio: int = 1  # positions that share a cell


@dataclass(frozen=True)
class Layer:
    caches: tuple[Cache, ...] = ()
    state: int = 0  # F32 values a slot, however long the context
    loaded: bool = True
    loaded_tensors: Optional[tuple[str, ...]] = None  # of a layer that is not: what is loaded all the same
    attention: bool = False
    recurrent: bool = False
    heads: int = 0
    key_length: int = 0
    value_length: int = 0
    indexer: bool = False
    tensors: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Structure:
    layers: tuple[Layer, ...]
    unknown: tuple[str, ...]  # what is not understood, in sentences


class _Reader:
    """Numbers of a file that may lie: what is out of any range is remembered and counts as absent."""

    def __init__(self, facts: Mapping[str, Any], block_count: int) -> None:
        self.facts = facts
        keys = facts.get("hyperparameters")
        self.keys: Mapping[str, Any] = keys if isinstance(keys, Mapping) else {}
        self.block_count = block_count
        self.unknown: list[str] = []

    def trouble(self, sentence: str) -> None:
        if sentence not in self.unknown:
            self.unknown.append(sentence)

    def raw(self, key: str, fact: Optional[str] = None) -> Any:
        # attention.key_length is the fact key_length; attention.indexer.key_length is not.
        return self.keys.get(key, self.facts.get(fact or (key[10:] if key.startswith("attention.") else key)))

    def number(self, key: str, default: int = 0, fact: Optional[str] = None) -> int:
        value = self.raw(key, fact)
        if value is None:
            return default
        if isinstance(value, (list, tuple)):
            numbers = [item for item in value if isinstance(item, int)]
            value = max(numbers, default=0)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
            self.trouble(f"{key} is {_short(value)}, which cannot be.")
            return default
        return value

    def each(self, key: str, default: int, fact: Optional[str] = None) -> tuple[int, ...]:
        """A number for each layer; the file has one for all or a list."""
        value = self.raw(key, fact)
        if not isinstance(value, (list, tuple)):
            return (self.number(key, default, fact),) * self.block_count
        if len(value) < self.block_count:
            self.trouble(f"{key} has {len(value)} entries for {self.block_count} layers.")
            return (default,) * self.block_count
        numbers = tuple(int(item) if isinstance(item, int) else -1 for item in value[: self.block_count])
        if any(not 0 <= item <= _MOST for item in numbers):
            self.trouble(f"{key} has entries that cannot be.")
            return (default,) * self.block_count
        return numbers


def read_structure(facts: Mapping[str, Any], architecture: str, block_count: int) -> Structure:
    """The layers of a model.

    :param facts: what gguf_info returns; older locks lack C(hyperparameters) and C(block_tensors).
    """
    if block_count > MAX_LAYERS:
        return Structure((), (f"block_count is {block_count:,}; {MAX_LAYERS} is the most that llama.cpp loads.",))
    reader = _Reader(facts, block_count)
    tensors = _tensors(reader)
    _refuse_strangers(reader, architecture, tensors)
    skipped_from = _trunk(reader, architecture, tensors)
    heads = reader.each("attention.head_count", 0)
    heads_kv = reader.each("attention.head_count_kv", max(heads, default=0))
    lengths = _lengths(reader, max(heads, default=0))
    windows = _windows(reader, architecture, skipped_from)
    recurrent = _recurrent(reader, architecture, tensors, heads_kv, skipped_from)
    indexed = _indexed(reader, architecture, tensors, skipped_from)
    cached = _cached(reader, architecture)
    state = _state_values(reader, max(heads, default=0))
    _refuse_missing_keys(reader, architecture, any(recurrent))
    layers = []
    for number in range(block_count):
        names = tensors[number] if tensors else frozenset()
        key_length, value_length = lengths[1] if windows[number] else lengths[0]
        if number >= skipped_from:
            layers.append(Layer(loaded=False, loaded_tensors=_loaded_of_skipped(architecture, names), tensors=names))
            continue
        attention = heads_kv[number] > 0 and _attends(names) and (not recurrent[number] or _both(names))
        caches: tuple[Cache, ...] = ()
        if attention and number < cached:
            keys, values = heads_kv[number] * key_length, heads_kv[number] * value_length
            own = Cache(keys, values, windows[number])
            caches = _caches(reader, architecture, number, own, value_length=value_length, indexed=indexed[number])
        layers.append(
            Layer(
                caches=caches,
                state=(state if recurrent[number] else 0) + _compressor_state(reader, architecture, number, key_length),
                attention=attention,
                recurrent=recurrent[number],
                heads=heads[number],
                key_length=key_length,
                value_length=value_length,
                indexer=indexed[number],
                tensors=names,
            )
        )
    if not any(layer.attention or layer.recurrent for layer in layers):
        reader.trouble("No layer has attention or a recurrent state.")
    return Structure(tuple(layers), tuple(reader.unknown))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _tensors(reader: _Reader) -> list[frozenset[str]]:
    """The names of each layer's tensors; nothing where the facts do not tell."""
    kinds = reader.facts.get("block_tensors")
    if not isinstance(kinds, Sequence) or not kinds:
        return []
    found = [frozenset[str]() for _number in range(reader.block_count)]
    for kind in kinds:
        names = frozenset(str(name) for name in kind.get("tensors", ()))
        for number in block_numbers(str(kind.get("blocks", "")), reader.block_count):
            found[number] = names
    missing = [number for number, names in enumerate(found) if not names]
    if missing:
        reader.trouble(f"block_count is {reader.block_count}, but there are no tensors of layer {missing[0]}.")
    return found


def block_numbers(text: str, most: int) -> list[int]:
    """ "0-2,5" as 0, 1, 2, 5, as far as there are so many blocks."""
    found: list[int] = []
    for part in text.split(","):
        first, _dash, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            found.extend(range(min(int(first), most), min(int(last or first) + 1, most)))
    return found


def _refuse_strangers(reader: _Reader, architecture: str, tensors: Sequence[frozenset[str]]) -> None:
    for key in reader.keys:
        if key.startswith(NOT_UNDERSTOOD) and reader.keys[key]:
            reader.trouble(f"The meaning of {architecture}.{key} for memory is not known here.")
    strange = sorted({name for names in tensors for name in names if _stem(name) not in BLOCK_TENSORS})
    if strange:
        reader.trouble(f"The tensors {', '.join(strange[:4])} of its layers are not known here.")
    elsewhere = reader.facts.get("unplaced_tensors")
    if isinstance(elsewhere, Sequence) and elsewhere:
        reader.trouble(f"The tensors {', '.join(str(name) for name in elsewhere[:4])} are not known here.")
    if architecture not in KNOWN and not tensors:
        reader.trouble(f"The architecture {architecture} is not known here, and these facts do not list its tensors.")
    experts = reader.number("expert_count")
    if experts > MAX_EXPERTS:
        reader.trouble(f"expert_count is {experts:,}; {MAX_EXPERTS:,} is the most that llama.cpp loads.")
    if reader.number("expert_used_count") > experts > 0:
        reader.trouble("expert_used_count is more than expert_count.")


def _refuse_missing_keys(reader: _Reader, architecture: str, recurrent: bool) -> None:
    """Keys without which these loaders fail: facts that lack them, such as a short entry of a catalog, are too few."""
    if recurrent and architecture != "minimax-01" and not any(reader.keys.get(key) for key in STATE_KEYS):
        reader.trouble("It has recurrent layers, and the header does not say how large their state is.")
    for key in REQUIRED_KEYS.get(architecture, ()):
        if reader.raw(key) is None:
            reader.trouble(f"{architecture}.{key} is missing.")


def _stem(name: str) -> str:
    return next((name[: -len(suffix)] for suffix in SUFFIXES if name.endswith(suffix)), name)


def _trunk(reader: _Reader, architecture: str, tensors: Sequence[frozenset[str]]) -> int:
    """The number of the first layer that only predicts further tokens: these are not loaded unless asked for."""
    count = reader.number("nextn_predict_layers")
    if count >= reader.block_count:
        if count:
            reader.trouble(f"nextn_predict_layers is {count:,} of {reader.block_count:,} layers.")
        return reader.block_count
    first = reader.block_count - count
    # deepseek4.cpp: without the tensors they are layers as the others.
    if architecture == "deepseek4" and tensors and count and "nextn.eh_proj" not in tensors[first]:
        return reader.block_count
    return first


def _loaded_of_skipped(architecture: str, names: frozenset[str]) -> tuple[str, ...]:
    skipped = PARTLY_SKIPPED.get(architecture)
    return () if skipped is None else tuple(sorted(name for name in names if _stem(name) not in skipped))


def _lengths(reader: _Reader, heads: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Lengths of a head's keys and values: (where the whole context is seen, where a window is)."""
    if not heads:
        return (0, 0), (0, 0)
    usual = reader.number("embedding_length") // heads
    keys, values = reader.number("attention.key_length", usual), reader.number("attention.value_length", usual)
    sliding = reader.number("attention.key_length_swa", keys), reader.number("attention.value_length_swa", values)
    if not keys or not values:
        reader.trouble("The heads of its attention have no length.")
    return (keys, values), sliding


def _windows(reader: _Reader, architecture: str, trunk: int) -> tuple[int, ...]:
    """How far back each layer looks; 0 is all the way."""
    none = (0,) * reader.block_count
    rule = SLIDING.get(architecture)
    stated = reader.raw("attention.sliding_window")
    pattern = reader.raw("attention.sliding_window_pattern")
    if rule is None:
        # Loaders without a rule ignore the key (phi3.cpp says so).
        if architecture in KNOWN or not stated:
            return none
        if not isinstance(pattern, (list, tuple)):
            reader.trouble("It has a sliding window, and the header does not say for which layers.")
            return none
        rule = Sliding(None)
    if rule.blocks and trunk != rule.blocks:
        return none
    window = reader.number("attention.sliding_window", rule.default)
    if stated == 0 and (rule.default or rule.period is None) and architecture != "llama4":
        reader.trouble("Its sliding window is 0.")
    if not window or (architecture == "llama4" and stated == 0):
        return none
    window = rule.fixed or window
    if isinstance(pattern, (list, tuple)):
        if len(pattern) < trunk:
            reader.trouble(f"attention.sliding_window_pattern has {len(pattern)} entries for {trunk} layers.")
            return none
        slides = [bool(entry) for entry in pattern[:trunk]]
    else:
        period = rule.period if pattern is None else reader.number("attention.sliding_window_pattern")
        if period is None:
            reader.trouble("It has a sliding window, and the header does not say for which layers.")
            return none
        slides = [_slides(number, period, rule.dense_first) for number in range(trunk)]
    return tuple(window if slide else 0 for slide in slides) + (0,) * (reader.block_count - trunk)


def _slides(number: int, period: int, dense_first: bool) -> bool:
    """llama_hparams::set_swa_pattern."""
    if period == 0:
        return True
    return number % period != 0 if dense_first else number % period < period - 1


def _recurrent(
    reader: _Reader, architecture: str, tensors: Sequence[frozenset[str]], heads_kv: Sequence[int], trunk: int
) -> tuple[bool, ...]:
    count = reader.block_count
    listed = reader.raw("attention.recurrent_layers")
    if isinstance(listed, (list, tuple)):
        if len(listed) < trunk:
            reader.trouble(f"attention.recurrent_layers has {len(listed)} entries for {trunk} layers.")
            return (False,) * count
        return tuple(bool(entry) for entry in listed[:trunk]) + (False,) * (count - trunk)
    interval = reader.number("full_attention_interval", FULL_ATTENTION_INTERVAL.get(architecture, 0))
    if interval and (architecture in FULL_ATTENTION_INTERVAL or architecture not in KNOWN):
        return tuple(number < trunk and (number + 1) % interval != 0 for number in range(count))
    if tensors:
        found = tuple(
            number < trunk and any(name.startswith(("ssm_", "shortconv.", "time_mix_")) for name in names)
            for number, names in enumerate(tensors)
        )
        return found
    states = any(reader.keys.get(key) for key in STATE_KEYS)
    ff = reader.each("feed_forward_length", 0)
    return tuple(states and number < trunk and not heads_kv[number] and not ff[number] for number in range(count))


STATE_KEYS = ("ssm.state_size", "ssm.conv_kernel", "shortconv.l_cache", "wkv.head_size", "kda.head_dim")


def _attends(names: frozenset[str]) -> bool:
    return not names or bool(names & {"attn_k", "attn_q", "attn_qkv", "attn_kv_a_mqa", "attn_kv"})


def _both(names: frozenset[str]) -> bool:
    """Falcon-H1 has attention and a state in each layer; elsewhere a recurrent layer's matrices are named alike."""
    return "ssm_in" in names and "attn_k" in names


def _state_values(reader: _Reader, heads: int) -> int:
    """llama_hparams::n_embd_r() and n_embd_s()."""
    embedding, head = reader.number("embedding_length"), reader.number("wkv.head_size")
    if head:
        return embedding * (reader.number("token_shift_count", 2) + head)
    short = reader.number("shortconv.l_cache")
    if short:
        return embedding * (short - 1)
    kernel = reader.number("ssm.conv_kernel")
    kda = reader.number("kda.head_dim")
    if kda:
        return 3 * (kernel - 1 if kernel else 3) * heads * kda + kda * kda * heads
    inner, size = reader.number("ssm.inner_size"), reader.number("ssm.state_size")
    if not inner:
        # minimax-01.cpp: linear attention with heads as long as the others'.
        length = reader.number("attention.key_length", embedding // heads if heads else 0)
        return length * length * heads
    return max(kernel - 1, 0) * (inner + 2 * reader.number("ssm.group_count") * size) + size * inner


def _indexed(reader: _Reader, architecture: str, tensors: Sequence[frozenset[str]], trunk: int) -> tuple[bool, ...]:
    """The layers that cache keys of an indexer, which chooses what sparse attention looks at."""
    count = reader.block_count
    if not reader.number("attention.indexer.key_length"):
        return (False,) * count
    if tensors:
        found = [any(name.startswith("indexer.") for name in names) for names in tensors]
    else:
        # minimax-m3.cpp: its leading dense layers have none.
        dense = reader.number("leading_dense_block_count") if architecture == "minimax-m3" else 0
        found = [number >= dense for number in range(count)]
    types = reader.raw("attention.indexer.types")
    if isinstance(types, (list, tuple)):
        if len(types) < trunk:
            reader.trouble(f"attention.indexer.types has {len(types)} entries for {trunk} layers.")
            return (False,) * count
        found = [bool(entry) for entry in types[:trunk]] + [False] * (count - trunk)
    elif architecture == "glm-dsa" and reader.number("context_length") >= SPARSE_INDEXER_CONTEXT:
        found = [number < 2 or number % 4 == 2 for number in range(count)]
    return tuple(number < trunk and owns for number, owns in enumerate(found))


def _cached(reader: _Reader, architecture: str) -> int:
    """So many of the first layers have a cache of their own."""
    if architecture in CACHED_BLOCKS:
        return min(CACHED_BLOCKS[architecture], reader.block_count)
    shared = reader.number("attention.shared_kv_layers")
    if shared >= reader.block_count:
        reader.trouble(f"attention.shared_kv_layers is {shared:,} of {reader.block_count:,} layers.")
        return reader.block_count
    return reader.block_count - shared


def _caches(
    reader: _Reader, architecture: str, number: int, attention: Cache, *, value_length: int, indexed: bool
) -> tuple[Cache, ...]:
    index_keys = reader.number("attention.indexer.key_length")
    ratio = _ratio(reader, number)
    if architecture == "deepseek4" or (architecture not in KNOWN and ratio):
        # llama-kv-cache-dsv4.cpp: keys only; beside the window, one cell for every few tokens, and the indexer's.
        caches = [Cache(attention.keys, 0, attention.window)]
        if ratio:
            caches.append(Cache(attention.keys, 0, ratio=ratio))
        if ratio == _CSA:
            caches.append(Cache(index_keys, 0, ratio=ratio))
        if ratio not in (0, _CSA, _HCA):
            reader.trouble(f"attention.compress_ratios has {ratio}; only {_CSA} and {_HCA} are known.")
        return tuple(caches)
    if not indexed:
        return (attention,)
    # llama-kv-cache-msa.cpp caches values beside the indexer's keys, as its attention is not latent.
    latent = bool(reader.number("attention.key_length_mla"))
    return attention, Cache(index_keys, 0 if latent else value_length)


def _ratio(reader: _Reader, number: int) -> int:
    ratios = reader.raw("attention.compress_ratios")
    if ratios is None:
        return 0
    if not isinstance(ratios, (list, tuple)) or len(ratios) < reader.block_count:
        reader.trouble(f"attention.compress_ratios is shorter than the {reader.block_count} layers.")
        return 0
    return ratios[number] if isinstance(ratios[number], int) else 0


def _compressor_state(reader: _Reader, architecture: str, number: int, key_length: int) -> int:
    """llama_dsv4_comp_state: keys and scores of the tokens that are not yet a cell."""
    ratio = _ratio(reader, number)
    if ratio == _CSA:
        return 2 * (2 * _CSA) * 2 * (key_length + reader.number("attention.indexer.key_length"))
    return 2 * _HCA * key_length if ratio == _HCA else 0
