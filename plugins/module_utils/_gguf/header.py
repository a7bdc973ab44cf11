# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Read the header of a GGUF file: hostile input, accepted and refused like llama.cpp's own reader does.

Arrays are stepped over and decoded only when asked for, so that a header with a vocabulary of 130,000 words takes
a tenth of a second. Nothing is allocated on the word of the file.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO, Iterator, Mapping, NamedTuple, NoReturn, Optional, Union

from ansible_collections.gguf.fleet.plugins.module_utils import _text
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import open_input
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.types import (
    ARRAY,
    BOOL,
    DEFAULT_ALIGNMENT,
    INT64_MAX,
    MAGIC,
    MAX_ALIGNMENT,
    MAX_DIMS,
    MAX_HEADER_BYTES,
    MAX_KEY_BYTES,
    MAX_KEYS,
    MAX_TENSOR_NAME_BYTES,
    MAX_TENSORS,
    SCALAR_BYTES,
    SCALAR_FORMATS,
    SIZE_MAX,
    STRING,
    TENSOR_TYPES,
    UINT32,
    VALUE_TYPE_NAMES,
    padded,
)
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

# The smallest thing that each entry can be: key of one byte, type, value of one byte; empty name, no dimensions.
_MIN_KV_BYTES = 8 + 1 + 4 + 1
_MIN_TENSOR_BYTES = 8 + 4 + 4 + 8

_FIRST_READ_BYTES = 1 << 20
_GROWTH = 8

_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_U64 = struct.Struct("<Q")
_COUNTS = struct.Struct("<qq")
_TENSOR_REST = tuple(struct.Struct(f"<{n_dims}qiQ") for n_dims in range(MAX_DIMS + 1))  # dims, type, offset

_FETCH_AGAIN = "Fetch the file again; the copy here is damaged or incomplete."
_NOT_REAL = "Get the file from its publisher again; no model needs such a header."
_NOT_LOADABLE = "Get the file from its publisher again; llama.cpp would refuse this one, too."


class GgufError(Problem, ValueError):
    """A file that is not a usable GGUF file, or a set of them that is not one model."""


class NeedMore(Exception):
    """The prefix ends inside the header: at least total_bytes from the start of the file are needed."""

    def __init__(self, total_bytes: int) -> None:
        super().__init__(f"the header needs at least the first {total_bytes:,} bytes")
        self.total_bytes = total_bytes


def printable(name: str) -> str:
    """A name from a file, safe to show on a terminal."""
    return _text.printable(name, limit=80)


@dataclass(frozen=True)
class KeyValue:
    """One entry of the metadata; the value stays as bytes until somebody asks for it."""

    name: str
    type: int  # a scalar type, STRING or ARRAY
    item_type: int  # the type of the items of an array, else the same as type
    count: int  # items of an array, else 1
    payload: bytes  # the items as they are in the file, without the array's own type and count

    @property
    def value(self) -> Any:
        if self.type == ARRAY:
            return list(self.items())
        return next(self.items())

    def items(self) -> Iterator[Any]:
        if self.item_type == STRING:
            return (raw.decode("utf-8", "replace") for raw in self.raw_strings())
        numbers: Iterator[Any] = (
            item for (item,) in struct.iter_unpack("<" + SCALAR_FORMATS[self.item_type], self.payload)
        )
        return (item != 0 for item in numbers) if self.item_type == BOOL else numbers

    def raw_strings(self) -> Iterator[bytes]:
        payload, position = self.payload, 0
        for _unused in range(self.count):
            (length,) = _U64.unpack_from(payload, position)
            position += 8 + length
            yield payload[position - length : position]

    @property
    def type_name(self) -> str:
        name = VALUE_TYPE_NAMES[self.item_type]
        return f"[{name}]" if self.type == ARRAY else name


class TensorInfo(NamedTuple):
    name: str
    dims: tuple[int, ...]
    type: int
    offset: int  # from the start of the data section
    nbytes: int

    @property
    def type_name(self) -> str:
        return TENSOR_TYPES[self.type].name


@dataclass(frozen=True)
class Header:
    version: int
    alignment: int
    kv: Mapping[str, KeyValue]
    by_c_name: Mapping[str, KeyValue]
    tensors: tuple[TensorInfo, ...]
    header_bytes: int  # the end of the tensor list
    data_offset: int
    data_end: int  # the end of the last tensor, without padding
    raw: bytes

    def find(self, name: str) -> Optional[KeyValue]:
        """The entry that llama.cpp finds under this name."""
        return self.by_c_name.get(name)


def c_name(name: str) -> str:
    """A name as C code sees it: up to the first NUL."""
    return name.split("\0", 1)[0]


class _Reader:
    """A cursor over a prefix of the file that tells 'the file is wrong' from 'the prefix is short'."""

    def __init__(self, data: Union[bytes, memoryview], size_bytes: Optional[int]) -> None:
        self.data = data
        self.have = len(data)
        self.size_bytes = size_bytes
        self.position = 0

    def need(self, length_bytes: int, what: str) -> None:
        """Make sure that length_bytes more can follow, before anything is allocated for them."""
        end = self.position + length_bytes
        if end <= self.have:
            return
        if self.size_bytes is not None and end > self.size_bytes:
            raise GgufError(
                f"{what} ends at byte {end:,}, but the file has {self.size_bytes:,} bytes.",
                _FETCH_AGAIN,
            )
        if end > MAX_HEADER_BYTES:
            raise GgufError(
                f"{what} ends at byte {end:,}: headers of more than {MAX_HEADER_BYTES >> 20} MiB are not read.",
                _NOT_REAL,
            )
        raise NeedMore(end)

    def u32(self, what: str) -> int:
        self.need(4, what)
        (value,) = _U32.unpack_from(self.data, self.position)
        self.position += 4
        return int(value)

    def i32(self, what: str) -> int:
        self.need(4, what)
        (value,) = _I32.unpack_from(self.data, self.position)
        self.position += 4
        return int(value)

    def u64(self, what: str) -> int:
        self.need(8, what)
        (value,) = _U64.unpack_from(self.data, self.position)
        self.position += 8
        return int(value)

    def take(self, length_bytes: int, what: str) -> bytes:
        self.need(length_bytes, what)
        start = self.position
        self.position += length_bytes
        return bytes(self.data[start : self.position])

    def string(self, what: str) -> bytes:
        length = self.u64(f"the length of {what}")
        return self.take(length, what)

    def skip_strings(self, count: int, what: str) -> None:
        """Step over count strings. This loop is most of the time of a whole parse."""
        self.need(8 * count, what)
        data, have, position = self.data, self.have, self.position
        unpack = _U64.unpack_from
        left = count
        try:
            while left and position <= have:
                position += 8 + unpack(data, position)[0]
                left -= 1
        except struct.error:
            # the prefix ends inside the length of the next string
            pass
        self.need(position - self.position + 8 * left, what)
        self.position = position


def parse_header(data: Union[bytes, bytearray, memoryview], *, size_bytes: Optional[int] = None) -> Header:
    """Parse the header at the start of data, a prefix of the file.

    Raises NeedMore when the prefix is too short, and GgufError when no file that starts like this can be right.
    With size_bytes, the length of the whole file, every tensor's bytes must lie inside the file, too.
    """
    reader = _Reader(data if isinstance(data, bytes) else memoryview(data), size_bytes)
    version = _read_version(reader)
    reader.need(16, "the tensor and metadata counts")
    tensor_count, kv_count = _COUNTS.unpack_from(reader.data, reader.position)
    reader.position += 16
    if tensor_count < 0 or kv_count < 0:
        raise GgufError(
            f"the header counts {tensor_count:,} tensors and {kv_count:,} metadata entries; negative counts cannot be.",
            _NOT_LOADABLE,
        )
    if tensor_count > MAX_TENSORS or kv_count > MAX_KEYS:
        raise GgufError(
            f"the header counts {tensor_count:,} tensors and {kv_count:,} metadata entries; no model has more than "
            f"{MAX_TENSORS:,} and {MAX_KEYS:,}.",
            _NOT_REAL,
        )
    reader.need(
        kv_count * _MIN_KV_BYTES + tensor_count * _MIN_TENSOR_BYTES,
        f"a list of {kv_count:,} metadata entries and {tensor_count:,} tensors",
    )

    kv: dict[str, KeyValue] = {}
    by_c_name: dict[str, KeyValue] = {}
    for number in range(kv_count):
        entry = _read_kv(reader, number)
        if entry.name in kv:
            raise GgufError(f"the metadata key '{printable(entry.name)}' occurs twice.", _NOT_LOADABLE)
        kv[entry.name] = entry
        by_c_name.setdefault(c_name(entry.name), entry)
    alignment = _alignment(by_c_name.get("general.alignment"))

    tensors, data_bytes = _read_tensors(reader, tensor_count, alignment)
    header_bytes = reader.position
    # llama.cpp pads only when tensors follow
    data_offset = padded(header_bytes, alignment) if tensors else header_bytes
    data_end = data_offset + data_bytes
    if size_bytes is not None and data_end > size_bytes:
        _refuse_short_file(tensors, data_offset, data_end, size_bytes)
    return Header(
        version=version,
        alignment=alignment,
        kv=MappingProxyType(kv),
        by_c_name=MappingProxyType(by_c_name),
        tensors=tensors,
        header_bytes=header_bytes,
        data_offset=data_offset,
        data_end=data_end,
        raw=bytes(reader.data[:header_bytes]),
    )


def read_header(source: Union[str, BinaryIO]) -> Header:
    """The header of a whole file, given by path or as a seekable file object; its data must be all there."""
    if not isinstance(source, str):
        return _read_header(source)
    try:
        with os.fdopen(open_input(source).fd, "rb", buffering=0) as file:
            return _read_header(file)
    except GgufError as error:
        raise GgufError(f"{source}: {error.problem}", error.remedy) from None


def _read_header(file: BinaryIO) -> Header:
    size_bytes = file.seek(0, os.SEEK_END)
    wanted = _FIRST_READ_BYTES
    while True:
        file.seek(0)
        data = _read_exactly(file, min(wanted, size_bytes))
        try:
            return parse_header(data, size_bytes=size_bytes)
        except NeedMore as more:
            wanted = max(more.total_bytes, min(wanted * _GROWTH, MAX_HEADER_BYTES))


def _read_exactly(file: BinaryIO, length_bytes: int) -> bytes:
    data = file.read(length_bytes)
    while len(data) < length_bytes:
        more = file.read(length_bytes - len(data))
        if not more:
            raise GgufError(f"the file became shorter than {length_bytes:,} bytes while it was read.", _FETCH_AGAIN)
        data += more
    return data


def _read_version(reader: _Reader) -> int:
    magic = reader.take(4, "the magic number")
    if magic != MAGIC:
        raise GgufError(
            f"this is not a GGUF file: it starts with {magic!r}, not with {MAGIC!r}.",
            "Check the path, and that the download did not save an error page.",
        )
    version = reader.u32("the version")
    if version != 0 and version & 0xFFFF == 0:
        raise GgufError(
            "this GGUF file is big endian.",
            "Convert it with gguf_convert_endian.py of llama.cpp's gguf-py, or get the little endian file.",
        )
    if version not in (2, 3):
        raise GgufError(
            f"this GGUF file has version {version}; 2 and 3 can be read.", "Get a newer conversion of the model."
        )
    return version


def _read_kv(reader: _Reader, number: int) -> KeyValue:
    raw_name = reader.string(f"metadata key {number}")
    if not raw_name:
        raise GgufError(f"metadata key {number} is empty.", _NOT_LOADABLE)
    if len(raw_name) > MAX_KEY_BYTES:
        raise GgufError(f"metadata key {number} has {len(raw_name):,} bytes; {MAX_KEY_BYTES:,} is the most.", _NOT_REAL)
    name = raw_name.decode("utf-8", "surrogateescape")
    what = f"the value of '{printable(name)}'"
    value_type = item_type = reader.i32(f"the type of '{printable(name)}'")
    count = 1
    if value_type == ARRAY:
        item_type = reader.i32(f"the item type of '{printable(name)}'")
        count = reader.u64(f"the length of '{printable(name)}'")
    start = reader.position
    if item_type == STRING:
        if value_type == STRING:
            reader.string(what)
        else:
            reader.skip_strings(count, what)
    elif item_type in SCALAR_BYTES:
        length = count * SCALAR_BYTES[item_type]
        reader.need(length, what)
        reader.position += length
    else:
        kind = "an array of arrays" if item_type == ARRAY else f"type {item_type}"
        raise GgufError(f"{what} is {kind}, which GGUF readers do not know.", _NOT_LOADABLE)
    return KeyValue(name, value_type, item_type, count, bytes(reader.data[start : reader.position]))


def _alignment(entry: Optional[KeyValue]) -> int:
    if entry is None:
        return DEFAULT_ALIGNMENT
    if entry.type != UINT32:
        raise GgufError(f"general.alignment is of type {entry.type_name}, not u32.", _NOT_LOADABLE)
    alignment = int(entry.value)
    if alignment == 0 or alignment & (alignment - 1) or alignment > MAX_ALIGNMENT:
        raise GgufError(
            f"general.alignment is {alignment:,}; a power of two up to {MAX_ALIGNMENT:,} is allowed.", _NOT_LOADABLE
        )
    return alignment


def _read_tensors(reader: _Reader, count: int, alignment: int) -> tuple[tuple[TensorInfo, ...], int]:
    """The list of tensors, and the bytes from the first one's start to the last one's end."""
    tensors: list[TensorInfo] = []
    seen: set[str] = set()
    expected_offset = end = 0
    for number in range(count):
        tensor = _read_tensor(reader, number)
        name = c_name(tensor.name)
        if name in seen:
            raise GgufError(f"the tensor '{printable(name)}' occurs twice.", _NOT_LOADABLE)
        seen.add(name)
        if tensor.offset != expected_offset:
            raise GgufError(
                f"the tensor '{printable(name)}' starts at data offset {tensor.offset:,}, not at {expected_offset:,} "
                "where the one before ends.",
                _NOT_LOADABLE,
            )
        end = tensor.offset + tensor.nbytes
        expected_offset = padded(end, alignment)
        if expected_offset > SIZE_MAX:
            raise GgufError(f"the data up to the tensor '{printable(name)}' exceeds 64 bits.", _NOT_LOADABLE)
        tensors.append(tensor)
    return tuple(tensors), end


def _read_tensor(reader: _Reader, number: int) -> TensorInfo:
    raw_name = reader.string(f"the name of tensor {number}")
    if len(raw_name) > MAX_TENSOR_NAME_BYTES:
        raise GgufError(
            f"the name of tensor {number} has {len(raw_name):,} bytes; {MAX_TENSOR_NAME_BYTES} is the most.",
            _NOT_LOADABLE,
        )
    name = raw_name.decode("utf-8", "surrogateescape")
    shown = printable(name)
    n_dims = reader.u32(f"the shape of the tensor '{shown}'")
    if n_dims > MAX_DIMS:
        raise GgufError(f"the tensor '{shown}' has {n_dims:,} dimensions; {MAX_DIMS} is the most.", _NOT_LOADABLE)
    rest = _TENSOR_REST[n_dims]
    reader.need(rest.size, f"the description of the tensor '{shown}'")
    fields = rest.unpack_from(reader.data, reader.position)
    reader.position += rest.size
    dims, type_id, offset = fields[:n_dims], fields[n_dims], fields[n_dims + 1]
    return TensorInfo(name, dims, type_id, offset, _tensor_bytes(shown, dims, type_id))


def _tensor_bytes(shown: str, dims: tuple[int, ...], type_id: int) -> int:
    if any(dim < 0 for dim in dims):
        raise GgufError(f"the tensor '{shown}' has a negative dimension: {list(dims)}.", _NOT_LOADABLE)
    items = dims[0] if dims else 1
    for dim in dims[1:]:
        # The very comparison of llama.cpp: a little less than the whole range, and a zero does not excuse the others.
        if dim and INT64_MAX // dim <= items:
            raise GgufError(f"the tensor '{shown}' has too many elements: {list(dims)}.", _NOT_LOADABLE)
        items *= dim or 1
    if 0 in dims:
        items = 0
    tensor_type = TENSOR_TYPES.get(type_id)
    if tensor_type is None:
        raise GgufError(
            f"the tensor '{shown}' has the type {type_id}, which is not known.",
            "Get a conversion for current llama.cpp; if the file is newer than this collection, update the collection.",
        )
    row = dims[0] if dims else 1
    if row % tensor_type.block_items:
        raise GgufError(
            f"the tensor '{shown}' has rows of {row:,} elements, not a multiple of the {tensor_type.block_items} in a "
            f"block of {tensor_type.name}.",
            _NOT_LOADABLE,
        )
    nbytes = items // tensor_type.block_items * tensor_type.block_bytes
    if nbytes > SIZE_MAX:
        raise GgufError(f"the tensor '{shown}' exceeds 64 bits of bytes: {list(dims)}.", _NOT_LOADABLE)
    return nbytes


def _refuse_short_file(tensors: tuple[TensorInfo, ...], data_offset: int, data_end: int, size_bytes: int) -> NoReturn:
    cut = next((t for t in tensors if data_offset + t.offset + t.nbytes > size_bytes), None)
    where = f"; the first tensor that is cut is '{printable(cut.name)}'" if cut else ""
    raise GgufError(
        f"the file is {data_end - size_bytes:,} bytes short ({size_bytes:,} of {data_end:,}){where}.", _FETCH_AGAIN
    )
