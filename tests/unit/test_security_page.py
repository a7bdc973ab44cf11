# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SECURITY.md promises nothing that no test attacks: every test that it names is there, and every attack is named."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "SECURITY.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def named() -> list[tuple[str, str]]:
    return NAMED.findall(PAGE.read_text(encoding="utf-8"))


def test_every_test_that_the_page_names_is_there() -> None:
    missing = [
        f"{file}::{test}"
        for file, test in named()
        if not (ROOT / file).is_file() or test not in functions_of(ROOT / file)
    ]
    assert named() and not missing, "\n".join(missing)


def test_every_rule_names_a_test() -> None:
    rules = PAGE.read_text(encoding="utf-8").partition("## Rules")[2].partition("### One place for each")[0]
    without = [rule for rule in re.split(r"\n- ", rules)[1:] if not NAMED.search(rule)]
    assert len(rules) > 1000 and not without, "\n".join(without)


def test_every_file_of_attacks_is_named() -> None:
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests/attacks").rglob("test_*.py")}
    assert files <= {file for file, _test in named()}, files - {file for file, _test in named()}
