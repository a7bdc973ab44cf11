# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import environment
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem

VALUES = [
    "plain",
    "two words",
    'a "quoted" one',
    "it's",
    "back\\slash",
    "$HOME ${X} `id`",
    "#no comment",
    "ümlaut",
    " ",
]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_read_back_as_it_was_given(value: str) -> None:
    assert environment.parse(environment.render({"NAME": value, "OTHER": 1})) == {"NAME": value, "OTHER": "1"}


@pytest.mark.parametrize("value", ["a\nUser=root", "a\rb", "a\x00", "a\u2028b", "a\x85b", "a\u202eb"])
def test_a_value_that_would_begin_another_line_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(ServiceProblem, match="HF_TOKEN holds a line end") as refused:
        environment.render({"HF_TOKEN": value})
    assert value not in str(refused.value)


@pytest.mark.parametrize("name", ["A B", "A=B", "", "1A", "A\n"])
def test_what_cannot_be_a_variable_is_refused(name: str) -> None:
    with pytest.raises(ServiceProblem, match="name of a variable"):
        environment.render({name: "x"})


def test_a_diff_tells_that_a_secret_changed_and_not_what_it_is() -> None:
    before = environment.render({"HF_TOKEN": "hf_before", "OLLAMA_HOST": "127.0.0.1", "LLAMA_API_KEY": "same"})
    after = environment.render({"HF_TOKEN": "hf_after", "OLLAMA_HOST": "0.0.0.0", "LLAMA_API_KEY": "same"})
    assert environment.shown(before) == "HF_TOKEN=********\nLLAMA_API_KEY=********\nOLLAMA_HOST=127.0.0.1\n"
    assert environment.shown(after, before) == (
        "HF_TOKEN=******** (changed)\nLLAMA_API_KEY=********\nOLLAMA_HOST=0.0.0.0\n"
    )
