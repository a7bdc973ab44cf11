# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The map does not rot: CONTRIBUTING.md and tests/README.md name every room, and every path on them exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAP, TESTS = ROOT / "CONTRIBUTING.md", ROOT / "tests/README.md"
ROOMS = ROOT / "plugins/module_utils"
IMPORTED = "ansible_collections.gguf.fleet.plugins.module_utils."
# In backticks or in a command; what a run makes and names that stand for something (NAME) are no paths.
PATHS = re.compile(r"(?<![\w./-])((?:plugins|tests|roles|playbooks|molecule|changelogs|meta|inventories)/[\w./-]*[\w])")
MADE = {"changelogs/changelog.yaml"}


def rows_of(page: Path) -> list[str]:
    """The names in the first cell of every row of its tables."""
    cells = re.findall(r"^\| ([^|]+) \|", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def folders_with_code(parent: Path) -> set[str]:
    return {path.name for path in parent.iterdir() if path.is_dir() and path.name not in ("__pycache__", "output")}


def rooms() -> set[str]:
    alone = {path.stem for path in ROOMS.glob("_*.py") if path.name != "__init__.py"}
    inner = {path.parent.relative_to(ROOMS).as_posix() for path in ROOMS.glob("*/*/*.py")}
    return alone | folders_with_code(ROOMS) | inner


def test_the_map_names_every_room_and_no_other() -> None:
    named = [name for name in rows_of(MAP) if name.startswith("_")]
    assert sorted(named) == sorted(rooms())


def test_a_room_imports_only_from_rooms_above_it_on_the_map() -> None:
    order = [name for name in rows_of(MAP) if name.startswith("_") and "/" not in name]
    wrong = []
    for path in sorted(ROOMS.rglob("*.py")):
        room = path.relative_to(ROOMS).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(IMPORTED):
                continue
            other = (node.module or "").removeprefix(IMPORTED).partition(".")[0]
            if order.index(other) > order.index(room):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {room} imports from {other}")
    assert not wrong, "\n".join(wrong)


def test_the_map_names_every_folder_of_plugins_and_every_role() -> None:
    page = MAP.read_text(encoding="utf-8")
    expected = {f"plugins/{name}" for name in folders_with_code(ROOT / "plugins") - {"module_utils"}}
    assert expected <= set(rows_of(MAP))
    assert all(f"`{name}`" in page for name in folders_with_code(ROOT / "roles"))


def test_the_page_of_the_tests_names_every_folder_of_tests_and_every_scenario() -> None:
    page = TESTS.read_text(encoding="utf-8")
    assert folders_with_code(ROOT / "tests") <= set(rows_of(TESTS))
    scenarios = {path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")}
    assert [name for name in scenarios if f"`{name}`" not in page] == []


@pytest.mark.parametrize("page", [MAP, TESTS], ids=lambda page: page.name)
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    named = set(PATHS.findall(page.read_text(encoding="utf-8")))
    assert len(named) > 5
    assert [path for path in sorted(named - MADE) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", [MAP, TESTS], ids=lambda page: page.name)
def test_every_file_that_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).is_file()] == []


def test_the_readme_leads_to_both_pages() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(CONTRIBUTING.md)" in readme
    assert "(tests/README.md)" in readme


def test_a_release_is_called_by_the_same_version_everywhere() -> None:
    version = re.findall(r"^version: (\S+)$", (ROOT / "galaxy.yml").read_text(encoding="utf-8"), flags=re.MULTILINE)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"gguf-fleet-([\d.]+)\.tar\.gz", readme)) == set(version)
