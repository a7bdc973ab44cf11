# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import struct
import tracemalloc
from time import thread_time

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import (
    GgufError,
    NeedMore,
    parse_header,
    printable,
    read_header,
)
from ansible_collections.gguf.fleet.tests.builders.gguf import (
    MODEL_KV,
    Tensor,
    gguf,
    header,
    string,
    tensors,
)

EVERY_TYPE = {
    "a.u8": ("u8", 200),
    "a.i8": ("i8", -3),
    "a.u16": ("u16", 60000),
    "a.i16": ("i16", -300),
    "a.u32": ("u32", 4_000_000_000),
    "a.i32": ("i32", -70000),
    "a.f32": ("f32", 0.5),
    "a.bool": ("bool", 1),
    "a.str": ("str", "wörld"),
    "a.u64": ("u64", 1 << 63),
    "a.i64": ("i64", -(1 << 62)),
    "a.f64": ("f64", 0.25),
    "a.numbers": ("[i32]", [1, -2, 3]),
    "a.words": ("[str]", ["", "x", "tö"]),
    "a.flags": ("[bool]", [0, 1, 7]),
    "a.none": ("[f64]", []),
    "a.no_words": ("[str]", []),
}


def test_values_of_every_type_come_back_in_file_order():
    parsed = parse_header(header(EVERY_TYPE))
    assert list(parsed.kv) == list(EVERY_TYPE)
    got = {name: entry.value for name, entry in parsed.kv.items()}
    expected = {name: content for name, (_kind, content) in EVERY_TYPE.items()}
    assert got == {**expected, "a.bool": True, "a.flags": [False, True, True]}


def test_tensors_come_with_shape_type_offset_and_bytes():
    content = gguf(
        MODEL_KV,
        [Tensor("a", (256, 3), "Q4_K"), Tensor("b", (5,), "F16"), Tensor("c", (), "F32"), Tensor("d", (0, 4), "F32")],
    )
    parsed = parse_header(content, size_bytes=len(content))
    assert [(t.name, t.dims, t.type_name, t.offset, t.nbytes) for t in parsed.tensors] == [
        ("a", (256, 3), "Q4_K", 0, 432),
        ("b", (5,), "F16", 448, 10),
        ("c", (), "F32", 480, 4),
        ("d", (0, 4), "F32", 512, 0),
    ]
    assert parsed.data_offset % 32 == 0
    assert parsed.data_end == parsed.data_offset + 512
    assert parsed.raw == content[: parsed.header_bytes]


def test_version_2_is_read_like_version_3():
    assert parse_header(header(EVERY_TYPE, version=2)).kv == parse_header(header(EVERY_TYPE)).kv


def test_own_alignment_moves_data_and_offsets():
    content = gguf({"general.alignment": ("u32", 64)}, [Tensor("a", (1,)), Tensor("b", (1,))], alignment=64)
    parsed = parse_header(content, size_bytes=len(content))
    assert parsed.alignment == 64
    assert parsed.data_offset % 64 == 0
    assert parsed.tensors[1].offset == 64


def test_missing_padding_after_the_last_tensor_is_no_fault():
    content = gguf(tensors=[Tensor("a", (3,))])
    parsed = parse_header(content, size_bytes=len(content) - 20)
    assert parsed.data_end == len(content) - 20


def raw_tensor(name: bytes = b"t", n_dims: int = 1, dims: tuple[int, ...] = (32,), kind: int = 0) -> bytes:
    shape = struct.pack(f"<I{len(dims)}q", n_dims, *dims)
    return string(name) + shape + struct.pack("<iQ", kind, 0)


ONE = [Tensor("a")]
REFUSED = {
    "not GGUF": (b"<html>" + bytes(40), "not a GGUF file"),
    "version 0": (header(version=0), "version 0"),
    "version 1": (header(version=1), "version 1"),
    "version 4": (header(version=4), "version 4"),
    "big endian": (b"GGUF" + struct.pack(">I", 3) + bytes(16), "big endian"),
    "negative tensor count": (header(tensor_count=-1), "-1 tensors"),
    "negative metadata count": (header(kv_count=-1), "-1 metadata"),
    "empty key": (header({"": ("u32", 1)}), "key 0 is empty"),
    "key twice": (header(header({"k": ("u8", 1)})[24:] * 2, kv_count=2), "'k' occurs twice"),
    "unknown value type": (header(string("k") + struct.pack("<iQ", 13, 0), kv_count=1), "type 13"),
    "negative value type": (header(string("k") + struct.pack("<iQ", -1, 0), kv_count=1), "type -1"),
    "array of arrays": (header(string("k") + struct.pack("<iiQ", 9, 9, 0), kv_count=1), "array of arrays"),
    "array of unknown": (header(string("k") + struct.pack("<iiQ", 9, 77, 0), kv_count=1), "type 77"),
    "alignment is not u32": (header({"general.alignment": ("u64", 32)}), "type u64"),
    "alignment is an array": (header({"general.alignment": ("[u32]", [32])}), "type [u32]"),
    "alignment 0": (header({"general.alignment": ("u32", 0)}), "alignment is 0"),
    "alignment 48": (header({"general.alignment": ("u32", 48)}), "alignment is 48"),
    "alignment above 64 KiB": (header({"general.alignment": ("u32", 1 << 17)}), "131,072"),
    "tensor name of 64 bytes": (header(tensors=[Tensor("n" * 64)]), "64 bytes"),
    "tensor name twice": (gguf(tensors=[Tensor("a"), Tensor("a")]), "'a' occurs twice"),
    "names equal up to NUL": (gguf(tensors=[Tensor("a\0b"), Tensor("a\0c")]), "'a' occurs twice"),
    "five dimensions": (header(tensors=[Tensor("a", (1, 1, 1, 1, 1))]), "5 dimensions"),
    "a million dimensions": (header(raw_tensor(n_dims=1_000_000), tensor_count=1), "1,000,000 dimensions"),
    "negative dimension": (header(raw_tensor(dims=(-1,)), tensor_count=1), "negative dimension"),
    "elements beyond 63 bits": (header(raw_tensor(n_dims=2, dims=(1 << 32, 1 << 31)), tensor_count=1), "too many"),
    "elements that wrap to 4": (
        header(raw_tensor(n_dims=2, dims=((1 << 62) + 1, 4)), tensor_count=1),
        "too many",
    ),
    "elements that wrap to 0": (header(raw_tensor(n_dims=2, dims=(1 << 32, 1 << 32)), tensor_count=1), "too many"),
    "bytes beyond 64 bits": (header(raw_tensor(dims=(1 << 62,), kind=28), tensor_count=1), "64 bits"),
    "removed tensor type": (header(raw_tensor(kind=4), tensor_count=1), "type 4"),
    "unknown tensor type": (header(raw_tensor(kind=43), tensor_count=1), "type 43"),
    "negative tensor type": (header(raw_tensor(kind=-1), tensor_count=1), "type -1"),
    "row not whole blocks": (header(raw_tensor(dims=(33,), kind=2), tensor_count=1), "multiple of the 32"),
    "no dimensions in blocks": (header(raw_tensor(n_dims=0, dims=(), kind=2), tensor_count=1), "multiple of the 32"),
    "gap in the data": (gguf(tensors=[Tensor("a"), Tensor("b", offset=160)]), "starts at data offset 160"),
    "overlap": (gguf(tensors=[Tensor("a"), Tensor("b", offset=64)]), "starts at data offset 64"),
    "first tensor not at 0": (gguf(tensors=[Tensor("a", offset=32)]), "starts at data offset 32"),
    "data cut": (gguf(tensors=ONE)[:-1], "1 bytes short"),
    "header cut": (gguf(MODEL_KV)[:-1], "ends at byte"),
    "more keys than bytes": (header(kv_count=1 << 40), "1,099,511,627,776 metadata entries"),
    "more tensors than bytes": (header(tensor_count=1 << 40), "1,099,511,627,776 tensors"),
    "key longer than the file": (header(struct.pack("<Q", 1 << 63) + bytes(20), kv_count=1), "ends at byte"),
    "array longer than the file": (
        header(string("k") + struct.pack("<iiQ", 9, 0, 1 << 62), kv_count=1),
        "ends at byte",
    ),
    "string array longer than the file": (
        header(string("k") + struct.pack("<iiQ", 9, 8, 1 << 62), kv_count=1),
        "ends at byte",
    ),
    "array size that wraps": (header(string("k") + struct.pack("<iiQ", 9, 12, 1 << 61), kv_count=1), "ends at byte"),
    "string in an array longer than the file": (
        header(string("k") + struct.pack("<iiQQ", 9, 8, 1, 1 << 62), kv_count=1),
        "ends at byte",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_reason(name):
    content, reason = REFUSED[name]
    with pytest.raises(GgufError) as caught:
        parse_header(content, size_bytes=len(content))
    assert reason in caught.value.problem
    assert caught.value.remedy.endswith(".")


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_kilobyte_costs_milliseconds_and_little_memory(name):
    content, _reason = REFUSED[name]
    tracemalloc.start()
    started = thread_time()
    with pytest.raises(GgufError):
        parse_header(content, size_bytes=len(content))
    seconds = thread_time() - started
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    assert seconds < 0.1


def test_every_shorter_prefix_asks_for_more_and_never_for_more_than_the_header():
    whole = gguf(EVERY_TYPE, tensors(3))
    complete = parse_header(whole)
    for have in range(complete.header_bytes):
        with pytest.raises(NeedMore) as caught:
            parse_header(whole[:have])
        assert have < caught.value.total_bytes <= complete.header_bytes
    assert parse_header(whole[: complete.header_bytes]) == complete


def test_every_cut_file_is_refused():
    whole = gguf(EVERY_TYPE, tensors(2))
    for size in range(len(whole)):
        with pytest.raises(GgufError):
            parse_header(whole[:size], size_bytes=size)


def test_header_beyond_the_limit_is_refused_even_when_the_file_is_huge():
    content = header(string("k") + struct.pack("<iiQ", 9, 0, 1 << 30), kv_count=1)
    with pytest.raises(GgufError, match="64 MiB"):
        parse_header(content, size_bytes=1 << 40)


def test_bytes_bytearray_and_memoryview_read_alike():
    content = gguf(EVERY_TYPE, tensors(2))
    assert parse_header(content) == parse_header(bytearray(content)) == parse_header(memoryview(content))


def test_file_is_read_by_path_and_by_object(tmp_path):
    content = gguf({"big": ("[str]", ["word"] * 200_000)}, tensors(2))
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert read_header(str(path)) == read_header(io.BytesIO(content)) == parse_header(content)


def test_message_about_a_file_names_its_path(tmp_path):
    path = tmp_path / "page.gguf"
    path.write_bytes(b"<html>")
    with pytest.raises(GgufError, match=r"page\.gguf: this is not a GGUF file"):
        read_header(str(path))


def test_names_from_a_file_are_shown_without_control_characters():
    assert printable("a\x1b[31m\0\udcff\n") == "a\\x1b[31m\\x00\\udcff\\x0a"
    assert printable("x" * 1000) == "x" * 80 + "... (920 more characters)"
