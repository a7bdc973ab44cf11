# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in reads its environment as Ollama's envconfig does."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin.environment import Environment, Panic
from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin.epochs import epochs
from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin.gofmt import (
    FOREVER,
    duration,
    literal,
    parse_duration,
)

MINUTES = 60 * 10**9


def environment(version: str = "0.5.7", **variables: str) -> Environment:
    return Environment({"HOME": "/home/o", **variables}, epochs(version))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False), ("1", True), ("0", False), ("true", True), ("FALSE", False), (' "0" ', False),
        ("yes", True), ("no", True), ("off", True), ("maybe", True),
    ],
)  # fmt: skip
def test_booleans_that_do_not_parse_are_true(text: str, expected: bool) -> None:
    assert environment(OLLAMA_NOPRUNE=text).no_prune is expected


@pytest.mark.parametrize(
    ("text", "expected"), [("", 512), ("7", 7), ("'7'", 7), ("-1", 512), ("many", 512), ("1.5", 512)]
)
def test_numbers_that_do_not_parse_are_the_default_with_a_warning(text: str, expected: int) -> None:
    env = environment(OLLAMA_MAX_QUEUE=text)
    assert env.max_queue == expected
    assert bool(env.warnings) == (expected == 512 and text != "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 5 * MINUTES), ("10m", 10 * MINUTES), ("90", 90 * 10**9), ("-1", FOREVER), ("0", 0), ("garbage", 5 * MINUTES)],
)
def test_keep_alive_takes_durations_and_seconds_and_swallows_the_rest(text: str, expected: int) -> None:
    assert environment(OLLAMA_KEEP_ALIVE=text).keep_alive == expected


@pytest.mark.parametrize(("text", "expected"), [("0", FOREVER), ("-5m", FOREVER), ("1h", 60 * MINUTES)])
def test_a_load_timeout_of_zero_never_ends(text: str, expected: int) -> None:
    assert environment(OLLAMA_LOAD_TIMEOUT=text).load_timeout == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("http", "127.0.0.1", 11434)),
        ("0.0.0.0", ("http", "0.0.0.0", 11434)),
        ("0.0.0.0:8080", ("http", "0.0.0.0", 8080)),
        (":8080", ("http", "", 8080)),
        ("http://1.2.3.4", ("http", "1.2.3.4", 80)),
        ("https://1.2.3.4/path", ("https", "1.2.3.4", 443)),
        ("[::1]:1337", ("http", "::1", 1337)),
        ("::1", ("http", "::1", 11434)),
        ("box:99999", ("http", "box", 11434)),
        ("box:port", ("http", "box", 11434)),
        ('"box:1"', ("http", "box", 1)),
    ],
)
def test_host_is_taken_apart(text: str, expected: Any) -> None:
    assert environment(OLLAMA_HOST=text).host() == expected


@pytest.mark.parametrize(
    ("text", "panics"),
    [("", False), ("*", False), ("http://a,https://b", False), ("a.example", True), ("http://*.a", False),
     ("http://a, http://b", True), ("http://*.*", True)],
)  # fmt: skip
def test_origins_without_scheme_panic(text: str, panics: bool) -> None:
    env = environment(OLLAMA_ORIGINS=text)
    if panics:
        with pytest.raises(Panic):
            env.check_origins()
    else:
        env.check_origins()


def test_the_store_needs_home_or_its_own_variable() -> None:
    rules = epochs("0.5.7")
    assert Environment({"OLLAMA_MODELS": "/m"}, rules).models == "/m"
    with pytest.raises(Panic, match=r"\$HOME is not defined"):
        _models = Environment({}, rules).models


def test_context_length_is_unknown_to_0_5_7() -> None:
    assert environment("0.5.7", OLLAMA_CONTEXT_LENGTH="8192").context_length == 0
    assert environment("0.33.2", OLLAMA_CONTEXT_LENGTH="8192").context_length == 8192


@pytest.mark.parametrize(
    ("text", "shown"), [("5m", "5m0s"), ("1h30m", "1h30m0s"), ("1.5s", "1.5s"), ("10ms", "10ms"), ("0", "0s")]
)
def test_durations_print_as_in_go(text: str, shown: str) -> None:
    assert duration(parse_duration(text)) == shown


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "five"])
def test_durations_need_a_unit(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(2048, "2048"), (163840, "163840"), (1000000, "1e+06"), (1230000000000, "1.23e+12"),
     (0.6, "0.6"), (0.00001, "1e-05"),
     (-1, "-1"), (True, "true"), ('say "hi"\n', '"say \\"hi\\"\\n"'), ("<｜User｜>", '"<｜User｜>"')],
)  # fmt: skip
def test_parameters_print_as_go_literals(value: Any, shown: str) -> None:
    assert literal(value) == shown
