# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError, parse_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.tests.builders.gguf import (
    MODEL_KV,
    Tensor,
    gguf,
    header,
    pad,
    split_kv,
    split_set,
    tensors,
)


def merged(shards: list[bytes]) -> bytes:
    """Carry a layout out in memory."""
    layout = merge_layout([parse_header(shard, size_bytes=len(shard)) for shard in shards])
    out = bytearray(b"\xee" * layout.size_bytes)
    out[: len(layout.header)] = layout.header
    for part in layout.segments:
        source = shards[part.shard][part.source_offset : part.source_offset + part.length_bytes]
        assert len(source) == part.length_bytes
        out[part.dest_offset : part.dest_offset + part.length_bytes] = source
    for offset, length in layout.padding:
        out[offset : offset + length] = bytes(length)
    return bytes(out)


def expected_file(kv, groups) -> bytes:
    total = sum(len(group) for group in groups)
    rest = {**kv, "split.no": ("u16", 0), "split.tensors.count": ("i32", total), "split.count": ("u16", 0)}
    return pad(gguf(rest, [tensor for group in groups for tensor in group]))


GROUPS: dict[str, list[list[Tensor]]] = {
    "one shard": [tensors(3)],
    "two shards": [tensors(2, prefix="a"), tensors(1, prefix="b")],
    "first shard has metadata only": [[], tensors(2, prefix="a"), tensors(2, prefix="b")],
    "a shard without tensors in the middle": [tensors(1, prefix="a"), [], tensors(1, prefix="b")],
    "no tensors at all": [[], []],
    "64 shards": [tensors(1, prefix=f"s{number}", items=number + 1) for number in range(64)],
    "odd sizes": [[Tensor("a", (1,)), Tensor("b", (7,))], [Tensor("c", (3, 5), "F16"), Tensor("d", (2,), "I8")]],
    "names at the limit": [[Tensor("n" * 63)], [Tensor("m" * 63)]],
}


@pytest.mark.parametrize("name", GROUPS)
def test_merged_bytes_are_header_then_tensors_in_order_each_padded_to_32(name):
    groups = GROUPS[name]
    assert merged(split_set(groups, gap=b"\xaa")) == expected_file(MODEL_KV, groups)


def test_split_count_moves_to_the_end_and_becomes_zero():
    kv = {"split.count": ("u16", 1), "x": ("u8", 7), "split.no": ("u16", 0)}
    parsed = parse_header(merged([gguf(kv, tensors(1))]))
    assert [(name, entry.type_name, entry.value) for name, entry in parsed.kv.items()] == [
        ("x", "u8", 7),
        ("split.no", "u16", 0),
        ("split.count", "u16", 0),
    ]


def test_values_are_written_as_llama_cpp_writes_them():
    kv = {
        "flag": ("bool", 9),
        "flags": ("[bool]", [0, 2, 255]),
        "word": ("str", b"cut\0here"),
        "words": ("[str]", [b"a\0b", b"", b"\0", b"whole"]),
        "empty": ("[i16]", []),
        "split.no": ("u16", 0),
        "split.count": ("u16", 1),
    }
    kept = {
        "flag": ("bool", 1),
        "flags": ("[bool]", [0, 1, 1]),
        "word": ("str", b"cut"),
        "words": ("[str]", [b"a", b"", b"", b"whole"]),
        "empty": ("[i16]", []),
        "split.no": ("u16", 0),
        "split.count": ("u16", 0),
    }
    assert merged([gguf(kv, tensors(1))]) == pad(gguf(kept, tensors(1)))


def test_keys_that_are_equal_up_to_nul_become_one_at_the_place_of_the_last():
    kv = {b"k\0a": ("u8", 1), b"x": ("u8", 2), b"k\0b": ("u8", 3), **split_kv(0, 1, 1)}
    parsed = parse_header(merged([gguf(kv, tensors(1))]))
    assert [(name, entry.value) for name, entry in parsed.kv.items()][:2] == [("x", 2), ("k", 3)]


def test_version_2_becomes_version_3():
    assert parse_header(merged(split_set([tensors(1)], version=2))).version == 3


@pytest.mark.parametrize(
    "stored, written",
    [
        ((), (1,)),
        ((1,), (1,)),
        ((32, 1), (32,)),
        ((32, 1, 1, 1), (32,)),
        ((1, 1), (1,)),
        ((1, 32), (1, 32)),
        ((0,), (0,)),
        ((0, 5), (0, 5)),
        ((5, 0, 3), (5, 0, 3)),
    ],
)
def test_trailing_dimensions_of_one_are_dropped(stored, written):
    data = b"" if 0 in stored else None
    assert parse_header(merged(split_set([[Tensor("a", stored, data=data)]]))).tensors[0].dims == written


def test_neighbours_without_padding_become_one_segment():
    shards = split_set([tensors(10), tensors(5, prefix="b")])
    layout = merge_layout([parse_header(shard) for shard in shards])
    assert [(part.shard, part.length_bytes) for part in layout.segments] == [(0, 1280), (1, 640)]
    assert layout.padding == ()
    assert layout.tail_padding_bytes == 0


def test_tail_padding_is_told():
    layout = merge_layout([parse_header(shard) for shard in split_set([[Tensor("a", (9,))]])])
    assert layout.tail_padding_bytes == 28
    assert layout.padding == ((len(layout.header) + 36, 28),)


def three() -> list[bytes]:
    return split_set([tensors(1, prefix="a"), tensors(1, prefix="b"), tensors(1, prefix="c")])


def with_kv(kv, group) -> bytes:
    return gguf(kv, group)


REFUSED = {
    "nothing": ([], "no shards"),
    "a file that is not split": ([gguf(MODEL_KV, tensors(1))], "not a shard"),
    "a merged file": ([merged(three())], "already merged"),
    "a missing shard": (three()[:2], "3 shards, but there are 2"),
    "shards exchanged": ([three()[0], three()[2], three()[1]], "in the place of shard 2 is shard 3"),
    "the second shard first": (three()[1:] + three()[:1], "in the place of shard 1 is shard 2"),
    "one shard twice": ([three()[0], three()[1], three()[1]], "in the place of shard 3 is shard 2"),
    "no split.no": (
        [three()[0], with_kv({"split.count": ("u16", 3)}, tensors(1, prefix="b")), three()[2]],
        "shard 2 does not say which part",
    ),
    "other split.count": (
        [three()[0], gguf(split_kv(1, 4, 3), tensors(1, prefix="b")), three()[2]],
        "its split.count is 4",
    ),
    "wrong split.tensors.count": (
        [three()[0], gguf(split_kv(1, 3, 9), tensors(1, prefix="b")), three()[2]],
        "shard 2 states 9 tensors",
    ),
    "a tensor twice": (
        split_set([tensors(1, prefix="a"), tensors(1, prefix="a")]),
        "'a.0.weight' is in shard 1 and in shard 2",
    ),
    "another architecture": (
        [
            three()[0],
            gguf({"general.architecture": ("str", "bert"), **split_kv(1, 3, 3)}, tensors(1, prefix="b")),
            three()[2],
        ],
        "shard 2 is of another model",
    ),
    "alignment 64": (
        split_set([[Tensor("a")]], {"general.alignment": ("u32", 64)}, alignment=64),
        "general.alignment is 64",
    ),
    "split.count of another type": ([gguf({"split.count": ("u32", 1)}, tensors(1))], "type u32, not u16"),
    "split.no is a word": (
        [gguf({"split.count": ("u16", 1), "split.no": ("str", "0")}, tensors(1))],
        "split.no is of type str",
    ),
    "zero dimension that would be lost": (
        split_set([[Tensor("a", (5, 0), data=b"")]]),
        "would lose its zero dimension",
    ),
    "key that starts with NUL": (
        [gguf({b"\0k": ("u8", 1), **split_kv(0, 1, 1)}, tensors(1))],
        "starts with a NUL",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_set_is_refused_with_the_reason(name):
    shards, reason = REFUSED[name]
    with pytest.raises(GgufError) as caught:
        merge_layout([parse_header(shard) for shard in shards])
    assert reason in caught.value.problem


def test_layout_needs_the_headers_alone():
    shards = three()
    headers = [parse_header(shard[: parse_header(shard).header_bytes]) for shard in shards]
    assert merge_layout(headers) == merge_layout([parse_header(shard) for shard in shards])
    assert merge_layout(headers).header.startswith(header(magic=b"GGUF")[:4])
