# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries from an earlier one: one file, other settings."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import declare, sources
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.derived import expanded
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.problem import DeclarationProblem

BASE: Dict[str, Any] = {
    "name": "r1",
    "source": {"repo": "o/r", "quant": "Q4"},
    "template": "chatml",
    "parameters": {"num_ctx": 4096, "temperature": 0.6},
    "keep_alive": "-1",
}


def test_it_has_the_file_and_the_settings_that_it_does_not_set_itself() -> None:
    entries = expanded([BASE, {"name": "long", "from": "R1", "parameters": {"num_ctx": 8192}, "system": "S"}])
    base, long = declare(entries, {})
    assert long["lock_name"] == base["lock_name"] and long["source"] == base["source"]
    assert long["parameters"] == {"num_ctx": 8192, "temperature": 0.6}
    assert (long["template"], long["system"], long["keep_alive"]) == ("chatml", "S", None)
    assert len(sources(entries, {})) == 1, "the file is fetched once"


def test_another_engine_takes_the_file_and_not_the_words_of_the_first() -> None:
    entries = expanded([BASE, {"name": "shards", "from": "r1", "engine": "llama_cpp"}])
    model = declare(entries, {})[1]
    assert (model["layout"], model["parameters"]) == ("shards", {})


def test_one_may_be_from_one_that_is_from_another() -> None:
    entries = expanded([BASE, {"name": "a", "from": "r1", "system": "A"}, {"name": "b", "from": "a"}])
    assert declare(entries, {})[2]["system"] == "A"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "x", "from": "r2"}, "is from r2, which is not an earlier entry"),
        ({"from": "r1"}, "has no name"),
        ({"name": "x", "from": "r1", "quant": "Q8"}, "is from r1 and has quant, too"),
    ],
)
def test_what_is_from_nothing_or_from_two_files_is_refused(entry: Dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationProblem, match=said):
        expanded([BASE, entry])
