# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import (
    as_count,
    as_dict,
    as_dicts,
    as_number,
    as_text,
    decode_json,
)


def test_what_engines_and_hubs_really_say_is_read_as_it_is() -> None:
    said = '{"name": "r1 \\ud83d\\ude00 \u6df1", "size": 226000000000, "share": 0.5, "x": [null, true, {}]}'
    assert decode_json(said.encode()) == {
        "name": "r1 \U0001f600 \u6df1",
        "size": 226000000000,
        "share": 0.5,
        "x": [None, True, {}],
    }


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"NaN", b"[Infinity]", b"1e999", b"-1e999", b"9" * 21, b"[" * 200_000, b'{"a":' * 200_000, b'"\xff"'],
    ids=range(10),
)
def test_whatever_is_wrong_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode_json(data)


def test_half_a_character_is_replaced_so_that_all_of_it_can_be_written() -> None:
    assert decode_json(b'{"a": "x\\ud800y"}') == {"a": "x?y"}


def test_a_part_of_another_type_counts_as_absent() -> None:
    wrongs: list[Any] = [None, True, "x", -1, [], {}]
    for wrong in wrongs:
        assert as_count(wrong) is None and as_number(wrong) is None
    assert (as_count(7), as_count(7.5), as_number(7.5)) == (7, None, 7.5)
    assert as_number(math.nan) is None
    assert (as_text(7), as_text("a"), as_dict([1]), as_dict({"a": 1})) == ("", "a", {}, {"a": 1})
    assert (as_dicts({"a": 1}), as_dicts([1, {"a": 1}, None])) == ([], [{"a": 1}])
