# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in reads Modelfiles and writes JSON as Ollama does."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin import gojson
from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin.epochs import epochs
from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin.modelfile import ModelfileProblem, parse
from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin.names import Name, existing_name, parse_name

OLD, NEW = epochs("0.5.7"), epochs("0.33.2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM x", [("model", "x")]),
        ("from x\nSyStEm hi", [("model", "x"), ("system", "hi")]),
        ("FROM x # not a comment", [("model", "x # not a comment")]),
        ("# a comment\n  # another\nFROM x", [("model", "x")]),
        ('FROM x\nSYSTEM """a\nb"""', [("model", "x"), ("system", "a\nb")]),
        ('FROM x\nSYSTEM """say "hi""""', [("model", "x"), ("system", 'say "hi"')]),
        ('FROM x\nSYSTEM """a """ b"""', [("model", "x"), ("system", 'a """ b')]),
        ('FROM x\nSYSTEM ""', [("model", "x"), ("system", "")]),
        ("FROM x\nSYSTEM 'a'", [("model", "x"), ("system", "'a'")]),
        ('FROM x\nSYSTEM "\nmore"', [("model", "x"), ("system", "\nmore")]),
        ('FROM x\nSYSTEM """"\n"""', [("model", "x"), ("system", '"\n')]),
        ("FROM x\r\nPARAMETER stop <|a|>\r\n", [("model", "x"), ("stop", "<|a|>")]),
        ("FROM x\nSYSTEM a\u3000b\u200bc", [("model", "x"), ("system", "abc")]),
        ("FROM x\nMESSAGE user hi", [("model", "x"), ("message", "user: hi")]),
        ("\ufeffFROM x", [("model", "x")]),
    ],
)
def test_commands_are_read_by_the_grammar(text: str, expected: list[tuple[str, str]]) -> None:
    assert [tuple(command) for command in parse(text.encode(), OLD)] == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SYSTEM x", "no FROM line"),
        ("FROM x\nBOGUS y\n", '(line 2): command must be one of "from", "license"'),
        ('FROM x\nSYSTEM "abc" def', "unexpected EOF"),
        ("FROM x\nMESSAGE User hi\n", "message role must be one of"),
        ("FROM", "unexpected EOF"),
    ],
)
def test_what_the_grammar_cannot_take_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ModelfileProblem) as caught:
        parse(text.encode(), OLD)
    assert problem in str(caught.value)


def test_renderer_is_a_command_of_later_versions_only() -> None:
    assert parse(b"FROM x\nRENDERER r", NEW)[1].name == "renderer"
    with pytest.raises(ModelfileProblem, match="command must be one of"):
        parse(b"FROM x\nRENDERER r", OLD)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": "<&>"}, '{"a":"\\u003c\\u0026\\u003e","b":1}'),
        (0.6, "0.6"),
        (1e6, "1000000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (0.000001, "0.000001"),
        (1.5e16, "15000000000000000"),
        ("｜\u2028", '"｜\\u2028"'),
        ([None, True], "[null,true]"),
    ],
)
def test_json_has_the_bytes_of_go(value: Any, expected: str) -> None:
    assert gojson.dumps(value, sort_keys=True) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m", "registry.ollama.ai/library/m:latest"),
        ("m:t", "registry.ollama.ai/library/m:t"),
        ("ns/m", "registry.ollama.ai/ns/m:latest"),
        ("h:5000/ns/m:t", "h:5000/ns/m:t"),
        ("http://h/ns/m", "h/ns/m:latest"),
    ],
)
def test_names_get_their_defaults(text: str, expected: str) -> None:
    assert str(parse_name(text)) == expected
    assert parse_name(text).valid


@pytest.mark.parametrize("text", ["", "a b", "/m", "m:", "n.s/m", "-m", "a" * 81, "模型"])
def test_names_that_are_none_are_invalid(text: str) -> None:
    assert not parse_name(text).valid


def test_the_spelling_in_use_wins() -> None:
    known = [Name("registry.ollama.ai", "library", "Det", "V1")]
    assert existing_name(parse_name("det:v1"), known).short == "Det:V1"
