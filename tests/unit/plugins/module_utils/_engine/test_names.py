# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import (
    NameProblem,
    full_name,
    parse_name,
    spelled_as_in_store,
)


@pytest.mark.parametrize(
    ("text", "parts", "shown"),
    [
        ("r1", ("registry.ollama.ai", "library", "r1", "latest"), "r1:latest"),
        ("r1:2.51bit", ("registry.ollama.ai", "library", "r1", "2.51bit"), "r1:2.51bit"),
        ("me/r1", ("registry.ollama.ai", "me", "r1", "latest"), "me/r1:latest"),
        ("h.co:80/me/r1:x", ("h.co:80", "me", "r1", "x"), "h.co:80/me/r1:x"),
        ("https://h.co/me/r1", ("h.co", "me", "r1", "latest"), "h.co/me/r1:latest"),
        ("deepSeek-quant-2.51bit", ("registry.ollama.ai", "library", "deepSeek-quant-2.51bit", "latest"),
         "deepSeek-quant-2.51bit:latest"),
    ],
)  # fmt: skip
def test_a_name_is_completed_with_ollamas_defaults(text: str, parts: tuple[str, ...], shown: str) -> None:
    name = parse_name(text)
    assert name.parts == parts
    assert str(name) == shown


@pytest.mark.parametrize(
    "text",
    ["", ":x", "r1:", "-r1", "../r1", "a/../b", "a b", "r1:a:b", "name.space/r1", "x" * 81, "r1:" + "x" * 81,
     "模型", "a/b/c/d", "r1\n"],
)  # fmt: skip
def test_a_name_that_ollama_would_refuse_or_that_leaves_the_store_is_refused(text: str) -> None:
    with pytest.raises(NameProblem):
        parse_name(text)


@pytest.mark.parametrize(
    ("wanted", "existing", "spelled"),
    [
        ("det:v1", [], "det:v1"),
        ("det:v1", ["Det:V1"], "Det:V1"),
        ("det:v1", ["Other:V1"], "det:V1"),
        ("det:v1", ["Other:V1", "det:v1"], "det:v1"),
        ("det:v1", ["DET:latest"], "DET:v1"),
    ],
)
def test_each_part_is_spelled_as_the_server_would_spell_it(wanted: str, existing: list[str], spelled: str) -> None:
    assert str(spelled_as_in_store(parse_name(wanted), [parse_name(name) for name in existing])) == spelled


NAMES = [("smollm2", "smollm2:latest"), ("Smol:Q4", "smol:q4"), ("hub.example:5000/a/b", "hub.example:5000/a/b:latest")]


@pytest.mark.parametrize(("name", "full"), [*NAMES, ("registry.ollama.ai/library/R1", "r1:latest"), ("", "")])
def test_names_are_compared_as_the_server_does(name: str, full: str) -> None:
    assert full_name(name) == full
