# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._text import has_control, lines, plain_name_problem, printable

# What ends a line, moves a cursor, hides or turns text around.
UNSAFE = "\n\r\t\0\x0b\x0c\x1b\x7f\x85\x9b\xad\u061c\u200b\u200e\u202e\u2028\u2029\u2066\ufeff\ud800"
# Nor does a noncharacter: systemd ignores the line that holds one.
UNSAFE += "\ufdd0\uffff\U0001fffe"


@pytest.mark.parametrize("character", UNSAFE)
def test_an_unsafe_character_is_seen_escaped_and_refused_in_names(character: str) -> None:
    text = f"a{character}b"
    assert has_control(text)
    assert character not in printable(text) and printable(text).startswith("a\\")
    assert plain_name_problem(text) == f"holds the character U+{ord(character):04X}, which is not a printable one"


@pytest.mark.parametrize("text", ["DeepSeek-R1 671B", "千问-3", "naïve ✓", "a.gguf"])
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert not has_control(text) and printable(text) == text and plain_name_problem(text) is None


def test_line_ends_stay_where_they_are_asked_for() -> None:
    assert printable("a\n\tb\x1b[2J", lines=True) == "a\n\tb\\x1b[2J"


def test_long_text_is_cut_and_says_so() -> None:
    assert printable("a" * 30, limit=10) == "a" * 10 + "... (20 more characters)"


def test_an_unusual_space_is_refused_in_names_but_printed() -> None:
    assert plain_name_problem("a\u00a0b") is not None
    assert plain_name_problem("") == "is empty"


def test_lines_end_at_line_feeds_only() -> None:
    assert lines("a\u2028b\x85c\rd\x0be\nf\n") == ["a\u2028b\x85c\rd\x0be", "f"]
    assert lines("") == []
    assert lines("a\n\n") == ["a", ""]


def test_a_failure_tells_problem_and_remedy_and_moves_no_cursor() -> None:
    fields = failure(Problem("The hub says: \x1b[2Jgone\u202e.", "Ask it again."))
    assert fields["problem"] == "The hub says: \\x1b[2Jgone\\u202e."
    assert fields["msg"] == fields["problem"] + " Ask it again."
