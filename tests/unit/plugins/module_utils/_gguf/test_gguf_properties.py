# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import tempfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError, NeedMore, parse_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._merge.merge import apply_merge
from ansible_collections.gguf.fleet.plugins.module_utils._merge.plan import MergeRequest, plan_merge
from ansible_collections.gguf.fleet.tests.builders.gguf import (
    MODEL_KV,
    Tensor,
    gguf,
    header,
    pad,
    split_set,
    write_shards,
)

RANGES = {
    "u8": st.integers(0, (1 << 8) - 1),
    "i8": st.integers(-(1 << 7), (1 << 7) - 1),
    "u16": st.integers(0, (1 << 16) - 1),
    "i16": st.integers(-(1 << 15), (1 << 15) - 1),
    "u32": st.integers(0, (1 << 32) - 1),
    "i32": st.integers(-(1 << 31), (1 << 31) - 1),
    "u64": st.integers(0, (1 << 64) - 1),
    "i64": st.integers(-(1 << 63), (1 << 63) - 1),
    "f32": st.floats(width=32, allow_nan=False),
    "f64": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "str": st.text(max_size=20),
}
VALUES = st.sampled_from(sorted(RANGES)).flatmap(
    lambda kind: st.one_of(
        st.tuples(st.just(kind), RANGES[kind]),
        st.tuples(st.just(f"[{kind}]"), st.lists(RANGES[kind], max_size=6)),
    )
)
KEYS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda key: not key.startswith(("general.", "split."))
)
METADATA = st.dictionaries(KEYS, VALUES, max_size=8)
TENSOR_SHAPES = st.tuples(
    st.sampled_from(["F32", "F16", "I8", "Q4_0", "Q4_K", "IQ1_S", "F64"]),
    st.lists(st.integers(1, 3), min_size=1, max_size=4),
)


def tensor(number: int, kind: str, dims: list[int]) -> Tensor:
    """A tensor with rows of whole blocks; trailing dimensions of 1, which a merge drops, are dropped already."""
    while len(dims) > 1 and dims[-1] == 1:
        dims = dims[:-1]
    block = {"Q4_0": 32, "Q4_K": 256, "IQ1_S": 256}.get(kind, 1)
    return Tensor(f"t{number}", (dims[0] * block, *dims[1:]), kind)


@settings(deadline=None)
@given(METADATA)
def test_any_metadata_comes_back_as_it_was_written(kv: dict[str, tuple[str, Any]]) -> None:
    parsed = parse_header(header(kv))
    assert {name: entry.value for name, entry in parsed.kv.items()} == {name: entry[1] for name, entry in kv.items()}
    assert list(parsed.kv) == list(kv)


@settings(deadline=None)
@given(METADATA, st.lists(TENSOR_SHAPES, max_size=5), st.data())
def test_any_prefix_asks_for_more_than_it_has_and_less_than_there_is(
    kv: dict[str, tuple[str, Any]], shapes: list[tuple[str, list[int]]], data: st.DataObject
) -> None:
    whole = gguf(kv, [tensor(number, *shape) for number, shape in enumerate(shapes)])
    complete = parse_header(whole, size_bytes=len(whole))
    have = data.draw(st.integers(0, complete.header_bytes - 1))
    try:
        parse_header(whole[:have], size_bytes=len(whole))
    except NeedMore as more:
        assert have < more.total_bytes <= complete.header_bytes
    else:
        raise AssertionError(f"{have} of {complete.header_bytes} bytes were enough")


@settings(max_examples=300, deadline=None)
@given(METADATA, st.lists(TENSOR_SHAPES, max_size=4), st.data())
def test_damaged_header_is_read_or_refused_and_nothing_else(
    kv: dict[str, tuple[str, Any]], shapes: list[tuple[str, list[int]]], data: st.DataObject
) -> None:
    content = bytearray(gguf(kv, [tensor(number, *shape) for number, shape in enumerate(shapes)]))
    for _unused in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed = parse_header(content, size_bytes=len(content))
    except GgufError:
        return
    assert parsed.data_end <= len(content)
    for entry in parsed.kv.values():
        assert entry.value is not None


@settings(deadline=None)
@given(st.lists(st.lists(TENSOR_SHAPES, max_size=4), min_size=1, max_size=6), METADATA)
def test_layout_of_any_set_covers_every_byte_once(
    groups: list[list[tuple[str, list[int]]]], kv: dict[str, tuple[str, Any]]
) -> None:
    numbered = [
        [tensor(100 * group + number, *shape) for number, shape in enumerate(shapes)]
        for group, shapes in enumerate(groups)
    ]
    layout = merge_layout([parse_header(shard) for shard in split_set(numbered, kv)])
    pieces = [(0, len(layout.header))]
    pieces += [(part.dest_offset, part.length_bytes) for part in layout.segments]
    pieces += list(layout.padding)
    position = 0
    for offset, length in sorted(pieces):
        assert offset == position
        position += length
    assert position == layout.size_bytes
    merged = parse_header(layout.header)
    assert [one.name for one in merged.tensors] == [one.name for group in numbered for one in group]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(TENSOR_SHAPES, max_size=4), min_size=1, max_size=6),
    st.booleans(),
    st.sampled_from([64, 1000, 1 << 20]),
)
def test_any_set_merges_into_the_file_that_its_tensors_make(
    groups: list[list[tuple[str, list[int]]]], consume: bool, checkpoint_bytes: int
) -> None:
    numbered = [
        [tensor(100 * group + number, *shape) for number, shape in enumerate(shapes)]
        for group, shapes in enumerate(groups)
    ]
    total = sum(len(group) for group in numbered)
    kv = {**MODEL_KV, "split.no": ("u16", 0), "split.tensors.count": ("i32", total), "split.count": ("u16", 0)}
    expected = pad(gguf(kv, [one for group in numbered for one in group]))
    with tempfile.TemporaryDirectory() as directory:
        shards = split_set(numbered, gap=b"\x55")
        paths = write_shards(directory, shards)
        digests = {path.rsplit("/", 1)[1]: hashlib.sha256(shard).hexdigest() for path, shard in zip(paths, shards)}
        request = MergeRequest(paths[0], directory + "/merged", consume=consume, shard_sha256=digests)
        ledger = Ledger(directory + "/ledger.json")
        result = apply_merge(plan_merge(request, ledger), ledger, checkpoint_bytes=checkpoint_bytes)
        with open(request.dest, "rb") as file:
            assert file.read() == expected
        assert result.sha256 == hashlib.sha256(expected).hexdigest()
