# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GGUF files made to measure. Written without the code under test: it shares only the table of type sizes."""

from __future__ import annotations

import os
import random
import struct
from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.types import TENSOR_TYPES

CODES = {
    "u8": 0,
    "i8": 1,
    "u16": 2,
    "i16": 3,
    "u32": 4,
    "i32": 5,
    "f32": 6,
    "bool": 7,
    "str": 8,
    "arr": 9,
    "u64": 10,
    "i64": 11,
    "f64": 12,
}
FORMATS = {
    "u8": "B",
    "i8": "b",
    "u16": "H",
    "i16": "h",
    "u32": "I",
    "i32": "i",
    "f32": "f",
    "bool": "B",
    "u64": "Q",
    "i64": "q",
    "f64": "d",
}
TYPE_IDS = {tensor_type.name: type_id for type_id, tensor_type in TENSOR_TYPES.items()}


def string(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def scalar(kind: str, value: Any) -> bytes:
    return string(value) if kind == "str" else struct.pack("<" + FORMATS[kind], value)


def value(kind: str, content: Any) -> bytes:
    """A typed value: kind is a scalar's name, or "[kind]" for an array of them."""
    if kind.startswith("["):
        item = kind[1:-1]
        head = struct.pack("<iiQ", CODES["arr"], CODES[item], len(content))
        return head + b"".join(scalar(item, one) for one in content)
    return struct.pack("<i", CODES[kind]) + scalar(kind, content)


def pair(key: str | bytes, kind: str, content: Any) -> bytes:
    return string(key) + value(kind, content)


@dataclass
class Tensor:
    name: str | bytes
    dims: Sequence[int] = (32,)
    type: str | int = "F32"
    offset: int | None = None  # None: where it belongs
    data: bytes | None = None  # None: bytes that depend on the name

    @property
    def type_id(self) -> int:
        return TYPE_IDS[self.type] if isinstance(self.type, str) else self.type

    @property
    def nbytes(self) -> int:
        product = 1
        for dim in self.dims:
            product *= dim
        kind = TENSOR_TYPES[self.type_id]
        return product // kind.block_items * kind.block_bytes

    @property
    def content(self) -> bytes:
        return random.Random(str(self.name)).randbytes(self.nbytes) if self.data is None else self.data

    def info(self, offset: int) -> bytes:
        return (
            string(self.name)
            + struct.pack(f"<I{len(self.dims)}q", len(self.dims), *self.dims)
            + struct.pack("<iQ", self.type_id, offset if self.offset is None else self.offset)
        )


def pad(data: bytes, alignment: int = 32, fill: bytes = b"\0") -> bytes:
    return data + fill * (-len(data) % alignment)


def header(
    kv: Mapping[Any, tuple[str, Any]] | bytes = b"",
    tensors: Sequence[Tensor] = (),
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    alignment: int = 32,
    kv_count: int | None = None,
    tensor_count: int | None = None,
) -> bytes:
    raw_kv = kv if isinstance(kv, bytes) else b"".join(pair(key, *entry) for key, entry in kv.items())
    if kv_count is None:
        kv_count = 0 if isinstance(kv, bytes) else len(kv)
    if tensor_count is None:
        tensor_count = len(tensors)
    parts = [magic, struct.pack("<Iqq", version, tensor_count, kv_count), raw_kv]
    offset = 0
    for tensor in tensors:
        parts.append(tensor.info(offset))
        if tensor.type_id in TENSOR_TYPES and all(dim >= 0 for dim in tensor.dims):
            offset += -(-tensor.nbytes // alignment) * alignment
    return b"".join(parts)


def gguf(
    kv: Mapping[Any, tuple[str, Any]] | bytes = b"",
    tensors: Sequence[Tensor] = (),
    *,
    alignment: int = 32,
    gap: bytes = b"\0",
    **options: Any,
) -> bytes:
    """A whole file. gap fills the padding between tensors, which readers ignore."""
    data = pad(header(kv, tensors, alignment=alignment, **options), alignment) if tensors else header(kv, **options)
    for tensor in tensors:
        data += pad(tensor.content, alignment, gap)
    return data


MODEL_KV: dict[Any, tuple[str, Any]] = {
    "general.architecture": ("str", "llama"),
    "general.name": ("str", "Small"),
    "llama.block_count": ("u32", 2),
    "tokenizer.ggml.tokens": ("[str]", ["<s>", "a", "b"]),
}


def split_kv(index: int, count: int, total: int) -> dict[Any, tuple[str, Any]]:
    return {
        "split.no": ("u16", index),
        "split.tensors.count": ("i32", total),
        "split.count": ("u16", count),
    }


def split_set(
    groups: Sequence[Sequence[Tensor]],
    kv: Mapping[Any, tuple[str, Any]] | None = None,
    **options: Any,
) -> list[bytes]:
    """The shards of a model, one for each group of tensors, as llama-gguf-split writes them."""
    total = sum(len(group) for group in groups)
    first = MODEL_KV if kv is None else kv
    return [
        gguf({**(first if index == 0 else {}), **split_kv(index, len(groups), total)}, group, **options)
        for index, group in enumerate(groups)
    ]


def shard_name(index: int, count: int, prefix: str = "model") -> str:
    return f"{prefix}-{index + 1:05d}-of-{count:05d}.gguf"


def write_shards(directory: str | os.PathLike[str], contents: Iterable[bytes], prefix: str = "model") -> list[str]:
    contents = list(contents)
    paths = []
    for index, content in enumerate(contents):
        path = os.path.join(directory, shard_name(index, len(contents), prefix))
        with open(path, "wb") as file:
            file.write(content)
        paths.append(path)
    return paths


def tensors(count: int, *, prefix: str = "blk", items: int = 32, type: str = "F32") -> list[Tensor]:
    return [Tensor(f"{prefix}.{number}.weight", (items,), type) for number in range(count)]
