# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shlex
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import unit
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem

ARGUMENTS = [
    ["/usr/bin/llama-server", "--port", 8080],
    ["x", "two words"],
    ["x", 'a "quoted" one'],
    ["x", "it's"],
    ["x", "back\\slash"],
    ["x", r"blk\.\d+\.ffn=CPU$"],
    ["x", "100%", "$HOME", "${HOME}", "%n"],
    ["x", ""],
    ["x", "a;b", "#c"],
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_what_was_written_is_read_back_word_by_word(arguments: list[Any]) -> None:
    words = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(unit.command(arguments))]
    assert words == [str(argument) for argument in arguments]


def test_dollars_and_percents_are_doubled_for_systemd() -> None:
    assert unit.command(["/bin/true", "$a", "5%"]) == "/bin/true $$a 5%%"


@pytest.mark.parametrize("argument", ["a\nUser=root", "a\rb", "a\u2028User=root", "a\x85b", "\x1b[2J"])
def test_an_argument_that_would_begin_another_setting_is_refused(argument: str) -> None:
    with pytest.raises(ServiceProblem, match="line end"):
        unit.command(["/bin/true", argument])
