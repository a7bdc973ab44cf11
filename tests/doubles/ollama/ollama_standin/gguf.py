# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A GGUF reader and rewriter of the stand-in's own: what it accepts and refuses is Ollama's, not the collection's."""

from __future__ import annotations

import contextlib
import os
import struct
from typing import Any, BinaryIO, Callable, Dict, List, NamedTuple, Tuple

_BLOCKS: Dict[int, Tuple[int, int]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36),
}  # fmt: skip

_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 4: "Q4_1_F16", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S",
    27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
}  # fmt: skip

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


class GgufProblem(Exception):
    """The file cannot be read; the text is what the server would answer."""


class Tensor(NamedTuple):
    """One tensor as listed."""

    name: str
    shape: Tuple[int, ...]
    kind: int
    offset: int

    @property
    def parameters(self) -> int:
        """The number of its elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def size(self) -> int:
        """Bytes; an unknown type counts as nothing, as in Ollama."""
        block, nbytes = _BLOCKS.get(self.kind, (1, 0))
        return self.parameters * nbytes // block


class Gguf:
    """A decoded header."""

    def __init__(self, kv: Dict[str, Any], raw_kv: List[Tuple[str, bytes]], tensors: List[Tensor], offset: int) -> None:
        self.kv = kv
        self.raw_kv = raw_kv
        self.tensors = tensors
        self.tensor_offset = offset
        self.end = offset
        for tensor in tensors:
            self.end += -self.end % self.alignment + tensor.size

    @property
    def alignment(self) -> int:
        """general.alignment, or 32."""
        return int(self.kv.get("general.alignment") or 32)

    @property
    def architecture(self) -> str:
        """general.architecture, or unknown."""
        return str(self.kv.get("general.architecture", "unknown"))

    def of_architecture(self, key: str, default: int = 0) -> int:
        """A number under the architecture's prefix."""
        value = self.kv.get("%s.%s" % (self.architecture, key), default)
        return int(max(value) if isinstance(value, list) and value else value or default)

    @property
    def parameter_count(self) -> int:
        """All elements of all tensors."""
        return sum(tensor.parameters for tensor in self.tensors)

    @property
    def file_type(self) -> str:
        """The quant by general.file_type; 0 is unknown to 0.5.7 and is F32 nowhere in what the stand-in sees."""
        number = int(self.kv.get("general.file_type") or 0)
        return _FILE_TYPES.get(number, "unknown") if number else "unknown"

    @property
    def chat_template(self) -> str:
        """The Jinja template that the file carries."""
        return str(self.kv.get("tokenizer.chat_template", ""))

    def model_info(self, verbose: bool) -> Dict[str, Any]:
        """The model_info of /api/show: long arrays are cut to nothing."""
        info = {}
        for key, value in self.kv.items():
            if key in ("general.name", "tokenizer.chat_template"):
                continue
            info[key] = [] if isinstance(value, list) and len(value) > 5 and not verbose else value
        info["general.parameter_count"] = self.parameter_count
        return info


def _take(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise GgufProblem("unexpected EOF")
    return data


def _unpack(stream: BinaryIO, code: str) -> Any:
    return struct.unpack("<" + code, _take(stream, struct.calcsize("<" + code)))[0]


def _string(stream: BinaryIO, limit: int) -> str:
    length = _unpack(stream, "Q")
    if length > limit:
        raise GgufProblem("unexpected EOF")
    return _take(stream, length).decode("utf-8", "replace")


def _shortest(value: float) -> float:
    """A float of 32 bits as Go shows it: 1e-05, not 9.999999747378752e-06."""
    for digits in range(1, 9):
        short = float("%.*g" % (digits, value))
        if struct.pack("<f", short) == struct.pack("<f", value):
            return short
    return value


def _value(stream: BinaryIO, kind: int, limit: int) -> Any:
    if kind in _SCALARS:
        value = _unpack(stream, _SCALARS[kind])
        return _shortest(value) if _SCALARS[kind] == "f" else value
    if kind == _STRING:
        return _string(stream, limit)
    if kind == _ARRAY:
        item, count = _unpack(stream, "I"), _unpack(stream, "Q")
        if count > limit:
            raise GgufProblem("unexpected EOF")
        if item in _SCALARS:
            size = struct.calcsize("<" + _SCALARS[item])
            return list(struct.unpack("<%d%s" % (count, _SCALARS[item]), _take(stream, count * size)))
        if item == _STRING:
            return [_string(stream, limit) for _index in range(count)]
        raise GgufProblem("invalid array type: %d" % item)
    raise GgufProblem("invalid type: %d" % kind)


def decode(stream: BinaryIO, size: int) -> Gguf:
    """Read the header at the stream's position."""
    start = stream.read(4)
    if not start:
        raise GgufProblem("EOF")
    if len(start) < 4:
        raise GgufProblem("unexpected EOF")
    if start != b"GGUF":
        raise GgufProblem("invalid file magic")
    _version, tensor_count, kv_count = struct.unpack("<IQQ", _take(stream, 20))
    kv: Dict[str, Any] = {}
    raw: List[Tuple[str, bytes]] = []
    for _index in range(kv_count):
        begin = stream.tell()
        key = _string(stream, size)
        kv[key] = _value(stream, _unpack(stream, "I"), size)
        end = stream.tell()
        stream.seek(begin)
        raw.append((key, _take(stream, end - begin)))
    tensors = []
    for _index in range(tensor_count):
        name, dims = _string(stream, size), _unpack(stream, "I")
        if dims > 8:
            raise GgufProblem("unexpected EOF")
        shape = struct.unpack("<%dQ" % dims, _take(stream, 8 * dims))
        kind, offset = struct.unpack("<IQ", _take(stream, 12))
        tensors.append(Tensor(name, shape, kind, offset))
    alignment = kv.get("general.alignment") or 32
    here = stream.tell()
    return Gguf(kv, raw, tensors, here + -here % int(alignment))


def decode_file(path: str) -> Gguf:
    """Read a file's header."""
    with open(path, "rb") as stream:
        return decode(stream, os.fstat(stream.fileno()).st_size)


def check_bounds(gguf: Gguf, size: int) -> None:
    """Versions from 0.17.1 on refuse a tensor that ends behind the file."""
    for tensor in gguf.tensors:
        end = gguf.tensor_offset + tensor.offset + tensor.size
        if end > size:
            raise GgufProblem('tensor "%s" offset+size (%d) exceeds file size (%d)' % (tensor.name, end, size))


def _kv_bytes(key: str, kind: int, code: str, value: int) -> bytes:
    name = key.encode()
    return struct.pack("<Q", len(name)) + name + struct.pack("<I" + code, kind, value)


def rewrite(paths: List[str], out: BinaryIO, progress: Callable[[int], None]) -> None:
    """What `llama-quantize COPY` makes of a file or a split set: one file without the split keys, its types set.

    The bytes of the tensors and their order stay. A real llama-quantize lists them in its loader's order, so digests
    made here are not those of a real server; both differ from the digest of the input, which is what matters.
    """
    parts = [decode_file(path) for path in paths]
    keep = [
        (k, raw) for k, raw in parts[0].raw_kv if not k.startswith("split.") and k != "general.quantization_version"
    ]
    kvs = [raw for _key, raw in keep] + [_kv_bytes("general.quantization_version", 4, "I", 2)]
    if not any(key == "general.file_type" for key, _raw in keep):
        kvs.append(_kv_bytes("general.file_type", 4, "I", 0))
    listed = [(index, tensor) for index, part in enumerate(parts) for tensor in part.tensors]
    header = bytearray(struct.pack("<4sIQQ", b"GGUF", 3, len(listed), len(kvs)) + b"".join(kvs))
    alignment, position = parts[0].alignment, 0
    for _index, tensor in listed:
        name = tensor.name.encode()
        header += struct.pack("<Q", len(name)) + name + struct.pack("<I", len(tensor.shape))
        header += struct.pack("<%dQ" % len(tensor.shape), *tensor.shape) + struct.pack("<IQ", tensor.kind, position)
        position += tensor.size + -tensor.size % alignment
    header += b"\0" * (-len(header) % alignment)
    out.write(header)
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(open(path, "rb")) for path in paths]
        for index, tensor in listed:
            source = streams[index]
            source.seek(parts[index].tensor_offset + tensor.offset)
            left = tensor.size
            while left:
                data = source.read(min(left, 1 << 20))
                if not data:
                    raise GgufProblem("llama-quantize: tensor '%s' data is not within the file bounds" % tensor.name)
                out.write(data)
                left -= len(data)
            out.write(b"\0" * (-tensor.size % alignment))
            progress(tensor.size)
