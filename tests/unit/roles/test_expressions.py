# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles and playbooks compute nothing: each of their expressions fits on one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import jinja2
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted([*ROOT.glob("roles/*/*/*.yml"), *ROOT.glob("playbooks/**/*.yml")])
CONDITIONS = ("when", "that", "failed_when", "changed_when", "until")
LIMIT = yaml.safe_load((ROOT / ".yamllint").read_text())["rules"]["line-length"]["max"]


def in_braces(text: str) -> Iterator[tuple[int, int, str]]:
    """First line, last line and text of each {{ }} and {% %}."""
    begin, words = 0, ""
    for line, kind, word in jinja2.Environment(autoescape=True).lex(text):
        if kind in ("variable_begin", "block_begin"):
            begin, words = line, ""
        words += word
        if kind in ("variable_end", "block_end"):
            yield begin, line, words


def conditions(node: Optional[yaml.Node], key: str = "") -> Iterator[yaml.ScalarNode]:
    """All expressions that stand without braces."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield from conditions(value, str(name.value))
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from conditions(item, key)
    elif isinstance(node, yaml.ScalarNode) and key in CONDITIONS:
        yield node


def too_long(text: str) -> list[int]:
    """The lines at which an expression begins that does not fit on one line."""
    found = [begin for begin, end, words in in_braces(text) if end > begin or len(words) > LIMIT]
    for node in conditions(yaml.compose(text)):
        one_line = node.start_mark.line == node.end_mark.line and len(node.value) <= LIMIT
        # The mark of a block scalar's end stands at the next line.
        block = node.style in ("|", ">") and len(node.value.strip()) <= LIMIT and "\n" not in node.value.strip()
        if not one_line and not (block and node.end_mark.line - node.start_mark.line <= 2):
            found.append(node.start_mark.line + 1)
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_expression_is_longer_than_a_line(file: Path) -> None:
    name = str(file.relative_to(ROOT))
    lines = too_long(file.read_text(encoding="utf-8"))
    assert lines == [], f"{name}, lines {lines}: compute it in a filter or a module"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('a: "{{ b }}"\n', []),
        ("fail_msg: >-\n  {{ a }} and\n  {{ {'b': {'c': 1}} }}\n", []),
        ("a: >-\n  {{ b\n     | c }}\n", [2]),
        ("a: |\n  {% if b\n  %}{% endif %}\n", [2]),
        ("when: a and\n  b\n", [1]),
        ("when: >-\n  a and b\n", []),
        ("- when:\n    - a\n    - >-\n      a and\n      b\n", [3]),
        (f'a: "{{{{ {"b" * 200} }}}}"\n', [1]),
    ],
)
def test_an_expression_that_spans_lines_is_found(text: str, lines: list[int]) -> None:
    assert too_long(text) == lines
