# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.gojson import encode


# What Go's json.NewEncoder writes for the same values.
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("<｜User｜> & \u2028\u2029", '"\\u003c｜User｜\\u003e \\u0026 \\u2028\\u2029"'),
        ('tab\tnew\nquote"back\\', '"tab\\tnew\\nquote\\"back\\\\"'),
        ("\x00\x1f\x7f\b\f", '"\\u0000\\u001f\x7f\\b\\f"'),
        (14, "14"),
        (-1, "-1"),
        (0.6, "0.6"),
        (1.0, "1"),
        (0.0, "0"),
        (1e-06, "0.000001"),
        (1e-07, "1e-7"),
        (1.5e-09, "1.5e-9"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (2**53, "9007199254740992"),
        (2**53 + 1, "9007199254740992"),
        (True, "true"),
        (None, "null"),
        (["a", 1], '["a",1]'),
        ({"b": 1, "a": {}}, '{"b":1,"a":{}}'),
    ],
)
def test_a_value_is_written_as_go_writes_it(value: Any, text: str) -> None:
    assert encode(value) == (text + "\n").encode()


def test_a_map_has_sorted_keys_and_a_struct_keeps_its_order() -> None:
    assert encode({"b": 1, "a": 2}, sort_keys=True) == b'{"a":2,"b":1}\n'
    assert encode({"b": 1, "a": 2}) == b'{"b":1,"a":2}\n'
