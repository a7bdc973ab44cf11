# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Where a model's tensors belong: bytes by the place that an engine gives them, and what each block consists of.

The places are those of llama.cpp's table LLM_TENSOR_INFOS (src/llama-arch.cpp, b11434).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import Header, TensorInfo, printable

_BLOCK = re.compile(r"blk\.(\d{1,4})\.(.+)")
# the tensors that llama.cpp's --cpu-moe moves, and the per-expert names of early conversions
_EXPERTS = re.compile(r"ffn_(up|down|gate|gate_up)(_(ch|)exps|\.\d+)\.")
_ONE_EXPERT = re.compile(r"^(ffn_(?:up|down|gate))\.\d+$")
EMBEDDING = "token_embd"
# What a token looks up; it stays in RAM however many layers are on GPUs.
_INPUT = {"position_embd", "token_types", "per_layer_token_embd"}
# Loaded with the first block.
_FIRST_BLOCK = {"per_layer_model_proj", "per_layer_proj_norm"}
_OUTPUT = ("output", "altup_", "token_embd_norm", "cls", "dense_", "enc.output_norm")
# Factors of the rotary embedding: a few KiB, wherever they are needed.
_SMALL = {"rope_freqs", "rope_factors_long", "rope_factors_short"}
# What ends a feed-forward part: its rows are as long as the inside of that part.
_WIDE = {"ffn_down", "ffn_down_exps", "ffn_down.N", "ffn_down_shexp"}
# More kinds of blocks than any family has.
_MAX_KINDS = 64
_MAX_UNPLACED = 8


def tensor_bytes(headers: Sequence[Header]) -> dict[str, Any]:
    """Bytes on the input side, on the output side, and of every block's two kinds."""
    found = {"embedding": 0, "input": 0, "output": 0, "other": 0}
    blocks: dict[int, dict[str, int]] = {}
    for tensor in _all(headers):
        block = _BLOCK.match(tensor.name)
        name = _short(tensor.name)
        if block:
            kind = "experts" if _EXPERTS.match(block.group(2)) else "dense"
            blocks.setdefault(int(block.group(1)), {"dense": 0, "experts": 0})[kind] += tensor.nbytes
        elif name in _FIRST_BLOCK:
            blocks.setdefault(0, {"dense": 0, "experts": 0})["dense"] += tensor.nbytes
        else:
            found[_place(name)] += tensor.nbytes
    listed: list[dict[str, Any]] = [
        dict(blocks.get(index, {"dense": 0, "experts": 0})) for index in range(max(blocks, default=-1) + 1)
    ]
    return {
        **found,
        "blocks": listed,
        "tied_output": not any(tensor.name == "output.weight" for tensor in _all(headers)),
    }


def block_tensors(headers: Sequence[Header]) -> list[dict[str, Any]]:
    """The kinds of blocks by what they consist of: C(blocks) such as "0-2,5", and C(tensors) without ".weight".

    C(widths) are the inner lengths of their feed-forward parts. Blocks for the prediction of several tokens tell their
    C(bytes), too, as engines load only some of these.
    """
    each: dict[int, dict[str, int]] = {}
    widths: dict[int, dict[str, int]] = {}
    for tensor in _all(headers):
        block = _BLOCK.match(tensor.name)
        if block:
            number, name = int(block.group(1)), _ONE_EXPERT.sub(r"\1.N", _short(block.group(2)))
            names = each.setdefault(number, {})
            names[name] = names.get(name, 0) + tensor.nbytes
            if name in _WIDE and tensor.dims:
                widths.setdefault(number, {})[name] = tensor.dims[0]
    kinds: dict[tuple[tuple[str, ...], tuple[tuple[str, int], ...]], list[int]] = {}
    for number, names in sorted(each.items()):
        kinds.setdefault((tuple(sorted(names)), tuple(sorted(widths.get(number, {}).items()))), []).append(number)
    found: list[dict[str, Any]] = []
    for (tensors, _widths), numbers in list(kinds.items())[:_MAX_KINDS]:
        kind: dict[str, Any] = {"blocks": ranges(numbers), "tensors": [printable(name) for name in tensors]}
        if numbers[0] in widths:
            kind["widths"] = widths[numbers[0]]
        if any(name.startswith("nextn.") for name in tensors):
            kind["bytes"] = [each[numbers[0]][name] for name in tensors]
        found.append(kind)
    return found


def unplaced(headers: Sequence[Header]) -> list[str]:
    """Names of tensors outside of blocks that have no known place."""
    names = {
        _short(tensor.name)
        for tensor in _all(headers)
        if not _BLOCK.match(tensor.name) and _place(_short(tensor.name)) == "other"
    }
    return [printable(name) for name in sorted(names - _SMALL - _FIRST_BLOCK)][:_MAX_UNPLACED]


def ranges(numbers: Iterable[int]) -> str:
    """0, 1, 2, 5 as "0-2,5"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def _all(headers: Sequence[Header]) -> Iterable[TensorInfo]:
    return (tensor for header in headers for tensor in header.tensors)


def _short(name: str) -> str:
    return name[: -len(".weight")] if name.endswith(".weight") else name


def _place(name: str) -> str:
    if name == EMBEDDING:
        return "embedding"
    if name in _INPUT:
        return "input"
    return "output" if name.startswith(_OUTPUT) else "other"
