# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where every byte of a merged file comes from: the result of llama-gguf-split --merge, computed from headers alone.

llama.cpp's tool merges whatever it is given. What it would corrupt without a word is refused here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import (
    GgufError,
    Header,
    KeyValue,
    TensorInfo,
    c_name,
    printable,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.types import (
    ARRAY,
    BOOL,
    DEFAULT_ALIGNMENT,
    INTEGER_TYPES,
    MAGIC,
    STRING,
    UINT16,
    padded,
)

SPLIT_NO = "split.no"
SPLIT_COUNT = "split.count"
SPLIT_TENSORS = "split.tensors.count"

_WRONG_SET = "Put the shards of one quant of one model side by side, as they were published."


@dataclass(frozen=True)
class Segment:
    """A run of bytes that goes unchanged from a shard into the merged file."""

    shard: int
    source_offset: int
    dest_offset: int
    length_bytes: int


@dataclass(frozen=True)
class MergeLayout:
    header: bytes
    size_bytes: int
    segments: tuple[Segment, ...]
    padding: tuple[tuple[int, int], ...]  # (offset in the merged file, length in bytes), always zeros
    tail_padding_bytes: int
    tensors: tuple[TensorInfo, ...]  # with their offsets in the merged data section


def merge_layout(headers: Sequence[Header]) -> MergeLayout:
    """The merged file of these shards, given in their order. Raises GgufError when they are not one model."""
    check_set(headers)
    tensors, sources = _merged_tensors(headers)
    header = _merged_header(headers[0], tensors)
    segments: list[Segment] = []
    padding: list[tuple[int, int]] = []
    for tensor, (shard, source_offset) in zip(tensors, sources):
        dest_offset = len(header) + tensor.offset
        if tensor.nbytes:
            _append(segments, Segment(shard, source_offset, dest_offset, tensor.nbytes))
        gap = padded(tensor.nbytes) - tensor.nbytes
        if gap:
            padding.append((dest_offset + tensor.nbytes, gap))
    size_bytes = len(header) + (tensors[-1].offset + padded(tensors[-1].nbytes) if tensors else 0)
    data_end = len(header) + (tensors[-1].offset + tensors[-1].nbytes if tensors else 0)
    return MergeLayout(
        header=header,
        size_bytes=size_bytes,
        segments=tuple(segments),
        padding=tuple(padding),
        tail_padding_bytes=size_bytes - data_end,
        tensors=tensors,
    )


def split_value(header: Header, key: str) -> int | None:
    """One of the split.* numbers of a shard, or None when it has none."""
    entry = header.find(key)
    if entry is None:
        return None
    if entry.type not in INTEGER_TYPES:
        raise GgufError(f"{key} is of type {entry.type_name}, not an integer.", _WRONG_SET)
    return int(entry.value)


def check_set(headers: Sequence[Header]) -> None:
    """Refuse headers that are not all the shards of one model in their order."""
    if not headers:
        raise GgufError("there are no shards.", _WRONG_SET)
    _check_first(headers[0])
    count = split_value(headers[0], SPLIT_COUNT)
    if count != len(headers):
        raise GgufError(f"shard 1 belongs to a set of {count:,} shards, but there are {len(headers):,}.", _WRONG_SET)
    for index, header in enumerate(headers):
        _check_member(headers[0], header, index)
    _check_tensor_count(headers)


def _check_first(first: Header) -> None:
    entry = first.find(SPLIT_COUNT)
    if entry is None:
        raise GgufError(
            "the first file is not a shard (it has no split.count).", "A file that was never split needs no merge."
        )
    if entry.type != UINT16:
        raise GgufError(f"split.count of shard 1 is of type {entry.type_name}, not u16.", _WRONG_SET)
    if not entry.value:
        raise GgufError(
            "the first file is already merged (its split.count is 0).", "Use it as it is; there is nothing to merge."
        )
    if first.alignment != DEFAULT_ALIGNMENT:
        raise GgufError(
            f"general.alignment is {first.alignment}; llama.cpp's merge lays out everything at {DEFAULT_ALIGNMENT} "
            "and leaves a file that nothing can read.",
            "Serve the shards with llama.cpp as they are.",
        )


def _check_member(first: Header, header: Header, index: int) -> None:
    number = index + 1
    no = split_value(header, SPLIT_NO)
    if no is None:
        raise GgufError(f"shard {number} does not say which part it is (it has no split.no).", _WRONG_SET)
    if no != index:
        raise GgufError(
            f"in the place of shard {number} is shard {no + 1} (split.no is {no}).",
            "Give each shard its published name back.",
        )
    expected = split_value(first, SPLIT_COUNT)
    count = split_value(header, SPLIT_COUNT)
    if count != expected:
        raise GgufError(
            f"shard {number} belongs to another set: its split.count is {count}, that of shard 1 is {expected}.",
            _WRONG_SET,
        )
    for key in ("general.architecture", "general.name"):
        theirs, ours = header.find(key), first.find(key)
        if theirs is not None and ours is not None and theirs.value != ours.value:
            raise GgufError(
                f"shard {number} is of another model: its {key} is '{printable(str(theirs.value))}', "
                f"that of shard 1 is '{printable(str(ours.value))}'.",
                _WRONG_SET,
            )


def _check_tensor_count(headers: Sequence[Header]) -> None:
    total = sum(len(header.tensors) for header in headers)
    for index, header in enumerate(headers):
        stated = split_value(header, SPLIT_TENSORS)
        if stated is not None and stated != total:
            raise GgufError(
                f"shard {index + 1} states {stated:,} tensors for the whole model (split.tensors.count), "
                f"but the {len(headers):,} shards have {total:,}.",
                _WRONG_SET,
            )


def _merged_tensors(headers: Sequence[Header]) -> tuple[tuple[TensorInfo, ...], list[tuple[int, int]]]:
    """Every tensor at its place in the merged file, and for each the shard and the offset its bytes come from."""
    tensors: list[TensorInfo] = []
    sources: list[tuple[int, int]] = []
    shard_of: dict[str, int] = {}
    offset = 0
    for shard, header in enumerate(headers):
        for tensor in header.tensors:
            name = c_name(tensor.name)
            if name in shard_of:
                raise GgufError(
                    f"the tensor '{printable(name)}' is in shard {shard_of[name] + 1} and in shard {shard + 1}.",
                    _WRONG_SET,
                )
            shard_of[name] = shard
            tensors.append(TensorInfo(name, _merged_dims(tensor), tensor.type, offset, tensor.nbytes))
            sources.append((shard, header.data_offset + tensor.offset))
            offset += padded(tensor.nbytes)
    return tuple(tensors), sources


def _merged_dims(tensor: TensorInfo) -> tuple[int, ...]:
    """The shape as llama.cpp writes it: trailing dimensions of at most 1 dropped, at least one left."""
    kept = max((i + 1 for i, dim in enumerate(tensor.dims) if dim > 1), default=1)
    if 0 in tensor.dims[kept:]:
        raise GgufError(
            f"the empty tensor '{printable(tensor.name)}' of shape {list(tensor.dims)} would lose its zero dimension "
            "in a merge, and the file could not be read.",
            "Serve the shards with llama.cpp as they are.",
        )
    return tensor.dims[:kept] or (1,)


def _merged_header(first: Header, tensors: Sequence[TensorInfo]) -> bytes:
    # llama.cpp removes a key before it sets it, so that a key written again moves to the end
    kv: dict[bytes, bytes] = {}
    for name, entry in first.kv.items():
        key = c_name(name).encode("utf-8", "surrogateescape")
        if not key:
            raise GgufError("a metadata key starts with a NUL byte.", "llama.cpp cannot write such a file.")
        kv.pop(key, None)
        if key.decode("utf-8", "surrogateescape") != SPLIT_COUNT:
            kv[key] = _encode_value(entry)
    kv[SPLIT_COUNT.encode()] = struct.pack("<iH", UINT16, 0)

    parts = [MAGIC, struct.pack("<IQQ", 3, len(tensors), len(kv))]
    for key, value in kv.items():
        parts += (_encode_string(key), value)
    for tensor in tensors:
        parts.append(_encode_string(tensor.name.encode("utf-8", "surrogateescape")))
        parts.append(
            struct.pack(f"<I{len(tensor.dims)}qiQ", len(tensor.dims), *tensor.dims, tensor.type, tensor.offset)
        )
    header = b"".join(parts)
    return header + bytes(padded(len(header)) - len(header))


def _encode_string(raw: bytes) -> bytes:
    return struct.pack("<Q", len(raw)) + raw


def _encode_value(entry: KeyValue) -> bytes:
    head = struct.pack("<i", entry.type)
    if entry.type == ARRAY:
        head += struct.pack("<iQ", entry.item_type, entry.count)
    if entry.item_type == BOOL:
        return head + bytes(byte != 0 for byte in entry.payload)
    if entry.item_type == STRING:
        strings = list(entry.raw_strings())
        if b"\0" in b"".join(strings):
            return head + b"".join(_encode_string(raw.split(b"\0", 1)[0]) for raw in strings)
    return head + entry.payload


def _append(segments: list[Segment], new: Segment) -> None:
    """Add a segment, in one piece with the last one where both sides follow without a gap."""
    last = segments[-1] if segments else None
    if (
        last is not None
        and last.shard == new.shard
        and last.source_offset + last.length_bytes == new.source_offset
        and last.dest_offset + last.length_bytes == new.dest_offset
    ):
        segments[-1] = Segment(last.shard, last.source_offset, last.dest_offset, last.length_bytes + new.length_bytes)
    else:
        segments.append(new)
