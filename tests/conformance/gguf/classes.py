# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Classes of GGUF files, accepted and refused ones, along those of llama.cpp's tests/test-gguf.cpp."""

from __future__ import annotations

import struct

from ansible_collections.gguf.fleet.tests.builders.gguf import (
    CODES,
    TYPE_IDS,
    Tensor,
    gguf,
    header,
    pad,
    string,
)

SAMPLES = {
    "u8": 200,
    "i8": -3,
    "u16": 60000,
    "i16": -300,
    "u32": 4_000_000_000,
    "i32": -70000,
    "f32": 0.5,
    "bool": 1,
    "str": "word",
    "u64": 1 << 63,
    "i64": -(1 << 62),
    "f64": 0.25,
}
SCALARS = {f"kv.{kind}": (kind, sample) for kind, sample in SAMPLES.items()}
ARRAYS = {f"array.{kind}": (f"[{kind}]", [sample] * 3) for kind, sample in SAMPLES.items()}
EMPTY: dict[str, tuple[str, list[object]]] = {f"empty.{kind}": (f"[{kind}]", []) for kind in SAMPLES}
TWO = [Tensor("a.weight", (32, 3)), Tensor("b.weight", (64,), "F16")]


def raw_kv(kind: int, rest: bytes = b"") -> bytes:
    return header(string("k") + struct.pack("<i", kind) + rest, kv_count=1)


def raw_array(kind: int, count: int, rest: bytes = b"") -> bytes:
    return raw_kv(CODES["arr"], struct.pack("<iQ", kind, count) + rest)


def raw_tensor(
    dims: tuple[int, ...] = (32,), *, n_dims: int | None = None, kind: int = 0, offset: int = 0, data: int = 4096
) -> bytes:
    shape = struct.pack(f"<I{len(dims)}q", len(dims) if n_dims is None else n_dims, *dims)
    info = string("t") + shape + struct.pack("<iQ", kind, offset)
    return pad(header(tensor_count=1) + info) + bytes(data)


def every_tensor_type() -> bytes:
    from ansible_collections.gguf.fleet.plugins.module_utils._gguf.types import TENSOR_TYPES

    return gguf(tensors=[Tensor(name, (TENSOR_TYPES[code].block_items, 3), name) for name, code in TYPE_IDS.items()])


CLASSES: dict[str, bytes] = {
    # the header
    "header_bad_magic": header(magic=b"FUGG"),
    "header_magic_only": b"GGUF",
    "header_nothing": b"",
    "header_cut_in_the_counts": header()[:-1],
    "header_empty": header(),
    "header_version_0": header(version=0),
    "header_version_1": header(version=1),
    "header_version_2": gguf(SCALARS, TWO, version=2),
    "header_version_3": gguf(SCALARS, TWO),
    "header_version_4": header(version=4),
    "header_version_65536": header(version=0x10000),
    "header_big_endian": b"GGUF" + struct.pack(">Iqq", 3, 0, 0),
    "header_negative_tensors": header(tensor_count=-1),
    "header_negative_kv": header(kv_count=-1),
    "header_more_tensors_than_bytes": header(tensor_count=1 << 30),
    "header_more_kv_than_bytes": header(kv_count=1 << 30),
    "header_huge_counts": header(tensor_count=(1 << 63) - 1, kv_count=(1 << 63) - 1),
    # the metadata
    "kv_every_scalar": header(SCALARS),
    "kv_every_array": header(ARRAYS),
    "kv_empty_arrays": header(EMPTY),
    "kv_type_13": raw_kv(13, bytes(8)),
    "kv_type_negative": raw_kv(-1, bytes(8)),
    "kv_array_of_arrays": raw_array(CODES["arr"], 0, bytes(16)),
    "kv_array_of_unknown": raw_array(99, 1, bytes(16)),
    "kv_empty_key": header({"": ("u32", 1)}),
    "kv_key_twice": header(header({"k": ("u8", 1)})[24:] * 2, kv_count=2),
    "kv_key_with_nul": header({b"a\0b": ("u8", 1), b"a\0c": ("u8", 2)}),
    "kv_key_not_utf8": header({b"\xff\xfe": ("u8", 1)}),
    "kv_key_of_300_bytes": header({"k" * 300: ("u8", 1)}),
    "kv_bool_of_7": header({"k": ("bool", 7)}),
    "kv_string_longer_than_file": raw_kv(CODES["str"], struct.pack("<Q", 1 << 20)),
    "kv_string_length_that_wraps": raw_kv(CODES["str"], struct.pack("<Q", (1 << 64) - 1)),
    "kv_array_longer_than_file": raw_array(CODES["u8"], 1 << 20),
    "kv_array_size_that_wraps": raw_array(CODES["f64"], 1 << 61, bytes(64)),
    "kv_strings_longer_than_file": raw_array(CODES["str"], 1 << 20, bytes(64)),
    "kv_string_in_array_longer_than_file": raw_array(CODES["str"], 1, struct.pack("<Q", 1000)),
    "kv_cut_in_a_value": header({"k": ("u64", 1)})[:-1],
    "kv_cut_in_a_key": header(struct.pack("<Q", 5) + b"abc", kv_count=1),
    "kv_alignment_64": gguf({"general.alignment": ("u32", 64)}, TWO, alignment=64),
    "kv_alignment_1": gguf({"general.alignment": ("u32", 1)}, TWO, alignment=1),
    "kv_alignment_0": header({"general.alignment": ("u32", 0)}),
    "kv_alignment_13": header({"general.alignment": ("u32", 13)}),
    "kv_alignment_u64": header({"general.alignment": ("u64", 32)}),
    "kv_alignment_array": header({"general.alignment": ("[u32]", [32])}),
    "kv_alignment_up_to_nul": gguf({b"general.alignment\0x": ("u32", 64)}, TWO, alignment=64),
    # the tensors
    "tensors_two": gguf(tensors=TWO),
    "tensors_every_type": every_tensor_type(),
    "tensors_name_63": gguf(tensors=[Tensor("n" * 63)]),
    "tensors_name_64": gguf(tensors=[Tensor("n" * 64)]),
    "tensors_name_empty": gguf(tensors=[Tensor("")]),
    "tensors_name_twice": gguf(tensors=[Tensor("a"), Tensor("a")]),
    "tensors_no_dims": gguf(tensors=[Tensor("a", ())]),
    "tensors_four_dims": gguf(tensors=[Tensor("a", (32, 2, 3, 4))]),
    "tensors_five_dims": raw_tensor((1, 1, 1, 1, 1)),
    "tensors_million_dims": raw_tensor((32,), n_dims=1_000_000),
    "tensors_zero_dim": gguf(tensors=[Tensor("a", (0, 4)), Tensor("b", (32,))]),
    "tensors_zero_dim_after_an_overflow": raw_tensor((1 << 40, 1 << 40, 0)),
    "tensors_zero_dim_inside_an_overflow": raw_tensor((1 << 40, 0, 1 << 40)),
    "tensors_zero_dim_before_an_overflow": raw_tensor((0, 1 << 40, 1 << 40)),
    "tensors_most_elements": raw_tensor(((1 << 63) - 1,), kind=24),
    "tensors_most_elements_and_zero": raw_tensor(((1 << 63) - 1, 0), kind=24),
    "tensors_negative_dim": raw_tensor((-1,)),
    "tensors_negative_dims_with_positive_product": raw_tensor((-4, -8)),
    "tensors_elements_overflow": raw_tensor((1 << 32, 1 << 31)),
    "tensors_elements_just_under": raw_tensor((((1 << 63) - 1) // 2 - 1, 2), kind=24),
    "tensors_elements_that_wrap_to_0": raw_tensor((1 << 32, 1 << 32)),
    "tensors_elements_that_wrap_to_4": raw_tensor(((1 << 62) + 1, 4)),
    "tensors_bytes_overflow": raw_tensor((1 << 62,), kind=28),
    "tensors_row_not_whole_blocks": raw_tensor((33,), kind=2),
    "tensors_no_dims_in_blocks": raw_tensor((), kind=2),
    "tensors_type_removed": raw_tensor(kind=4),
    "tensors_type_36": raw_tensor(kind=36),
    "tensors_type_negative": raw_tensor(kind=-1),
    "tensors_type_huge": raw_tensor(kind=10_000),
    "tensors_offset_unaligned": raw_tensor(offset=1),
    "tensors_offset_not_zero": raw_tensor(offset=32),
    "tensors_gap": gguf(tensors=[Tensor("a"), Tensor("b", offset=160)]) + bytes(64),
    "tensors_overlap": gguf(tensors=[Tensor("a", (64,)), Tensor("b", offset=64)]),
    "tensors_out_of_order": gguf(tensors=[Tensor("a", offset=128), Tensor("b", offset=0)]),
    "tensors_cut_in_the_list": header(tensors=TWO)[:-1],
    # the data
    "data_whole": gguf(SCALARS, TWO),
    "data_without_last_padding": gguf(tensors=[Tensor("a", (9,))])[:-28],
    "data_one_byte_short": gguf(tensors=[Tensor("a", (9,))])[:-29],
    "data_none": pad(header(tensors=TWO)),
    "data_begins_behind_the_end": header(tensors=[Tensor("a", (0,))]) + b"",
    "data_and_more": gguf(tensors=TWO) + b"trailing bytes",
}

# Where we are stricter on purpose, and why.
STRICTER = {
    "tensors_names_equal_up_to_nul": (
        gguf(tensors=[Tensor("a\0b"), Tensor("a\0c")]),
        "some versions accept it, others refuse it, and none can merge it",
    ),
    "alignment_128_ki": (
        gguf({"general.alignment": ("u32", 1 << 17)}, [Tensor("a")], alignment=1 << 17),
        "alignment has no upper bound there; nobody uses more than 64 KiB",
    ),
}
