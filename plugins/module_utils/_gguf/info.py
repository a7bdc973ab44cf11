# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a model is, as plain facts for operators, locks and the placement: read from headers, never from data.

Every value comes from a file that may lie: wrong types count as absent, and no number of the file sizes a list.
"""

from __future__ import annotations

from typing import Any, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError, Header, printable
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import (
    SPLIT_COUNT,
    SPLIT_NO,
    SPLIT_TENSORS,
    check_set,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.tensors import block_tensors, tensor_bytes, unplaced
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.types import (
    ARRAY,
    BOOL,
    FLOAT32,
    FLOAT64,
    INTEGER_TYPES,
    STRING,
)

_MAX_LIST = 4096
_MAX_KEYS = 256
_MAX_EACH = 1024  # entries of a list with one for each block
_MAX_KEY = 120
_GUESSED = 1024  # flag of general.file_type: guessed from the tensors

# general.file_type, enum llama_ftype in llama.cpp's include/llama.h
FILE_TYPES: dict[int, str] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
    41: "Q2_0",
}


def describe(headers: Sequence[Header]) -> dict[str, Any]:
    """The facts of a model, of which these are the shards in their order, or of the part of it that is given."""
    first = headers[0]
    architecture = _text(first, "general.architecture")
    file_type = _integer(first, "general.file_type")
    facts: dict[str, Any] = {
        "version": first.version,
        "architecture": architecture,
        "name": _text(first, "general.name"),
        "size_label": _text(first, "general.size_label"),
        "file_type": file_type,
        "quant": None if file_type is None else FILE_TYPES.get(file_type & ~_GUESSED),
        "chat_template": first.find("tokenizer.chat_template") is not None,
        "vocab_size": _vocab_size(first, architecture),
        "split": {
            "count": _integer(first, SPLIT_COUNT) or 0,
            "index": _integer(first, SPLIT_NO) or 0,
            "tensors": _integer(first, SPLIT_TENSORS),
        },
        "complete": is_complete(headers),
        "tensors": sum(len(header.tensors) for header in headers),
        "parameter_count": sum(_elements(tensor.dims) for header in headers for tensor in header.tensors),
        "size_bytes": sum(header.data_end for header in headers),
        "tensor_bytes": tensor_bytes(headers),
        "block_tensors": block_tensors(headers),
        "unplaced_tensors": unplaced(headers),
        "type_bytes": _type_bytes(headers),
    }
    facts.update(_hyperparameters(first, architecture))
    facts["hyperparameters"] = _all_hyperparameters(first, architecture)
    return facts


def is_complete(headers: Sequence[Header]) -> bool:
    """Whether these headers are a whole model: all its shards in order, or a single file that is not split."""
    if len(headers) == 1 and not _integer(headers[0], SPLIT_COUNT):
        return True
    try:
        check_set(headers)
    except GgufError:
        return False
    return True


def _hyperparameters(first: Header, architecture: Optional[str]) -> dict[str, Any]:
    def number(key: str) -> Any:
        return _integer_or_list(first, f"{architecture}.{key}")

    def real(key: str) -> Optional[float]:
        return _real(first, f"{architecture}.{key}")

    return {
        "block_count": _integer(first, f"{architecture}.block_count"),
        "context_length": _integer(first, f"{architecture}.context_length"),
        "embedding_length": _integer(first, f"{architecture}.embedding_length"),
        "feed_forward_length": number("feed_forward_length"),
        "head_count": number("attention.head_count"),
        "head_count_kv": number("attention.head_count_kv"),
        "key_length": number("attention.key_length"),
        "value_length": number("attention.value_length"),
        "key_length_mla": number("attention.key_length_mla"),
        "value_length_mla": number("attention.value_length_mla"),
        "kv_lora_rank": number("attention.kv_lora_rank"),
        "q_lora_rank": number("attention.q_lora_rank"),
        "sliding_window": number("attention.sliding_window"),
        "expert_count": number("expert_count"),
        "expert_used_count": number("expert_used_count"),
        "expert_shared_count": number("expert_shared_count"),
        "expert_feed_forward_length": number("expert_feed_forward_length"),
        "leading_dense_block_count": number("leading_dense_block_count"),
        "rope": {
            "dimension_count": number("rope.dimension_count"),
            "freq_base": real("rope.freq_base"),
            "scaling_type": _text(first, f"{architecture}.rope.scaling.type"),
            "scaling_factor": real("rope.scaling.factor"),
            "original_context_length": number("rope.scaling.original_context_length"),
        },
    }


def _all_hyperparameters(header: Header, architecture: Optional[str]) -> dict[str, Any]:
    """Whole numbers and switches of the architecture under their own names, also as lists with one for each block."""
    prefix = f"{architecture}."
    found: dict[str, Any] = {}
    for name, entry in header.kv.items():
        if not name.startswith(prefix) or len(found) >= _MAX_KEYS or len(name) > _MAX_KEY:
            continue
        plain = entry.item_type == BOOL or entry.item_type in INTEGER_TYPES
        if plain and (entry.type != ARRAY or entry.count <= _MAX_EACH):
            found[printable(name[len(prefix) :])] = entry.value
    return found


def _type_bytes(headers: Sequence[Header]) -> dict[str, int]:
    by_type: dict[str, int] = {}
    for header in headers:
        for tensor in header.tensors:
            by_type[tensor.type_name] = by_type.get(tensor.type_name, 0) + tensor.nbytes
    return dict(sorted(by_type.items()))


def _elements(dims: Sequence[int]) -> int:
    product = 1
    for dim in dims:
        product *= dim
    return product


def _vocab_size(header: Header, architecture: Optional[str]) -> Optional[int]:
    stated = _integer(header, f"{architecture}.vocab_size")
    tokens = header.find("tokenizer.ggml.tokens")
    return tokens.count if stated is None and tokens is not None and tokens.type == ARRAY else stated


def _text(header: Header, key: str) -> Optional[str]:
    entry = header.find(key)
    return printable(entry.value) if entry is not None and entry.type == STRING else None


def _integer(header: Header, key: str) -> Optional[int]:
    entry = header.find(key)
    return int(entry.value) if entry is not None and entry.type in INTEGER_TYPES else None


def _integer_or_list(header: Header, key: str) -> Any:
    """Some models have one number for all blocks, some a list with one for each."""
    entry = header.find(key)
    if entry is not None and entry.type == ARRAY and entry.item_type in INTEGER_TYPES and entry.count <= _MAX_LIST:
        return entry.value
    return _integer(header, key)


def _real(header: Header, key: str) -> Optional[float]:
    entry = header.find(key)
    return float(entry.value) if entry is not None and entry.type in (FLOAT32, FLOAT64) else None
