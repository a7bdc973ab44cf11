# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links of the pages lead somewhere, as GitHub reads them; and a page and its Chinese twin say the same."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "roles/*/README.md", "tests/**/README.md")
    for path in ROOT.glob(pattern)
    if "output" not in path.parts
)
CHINESE = ".zh-CN.md"
TWINS = sorted(page for page in PAGES if page.name.endswith(CHINESE))

FENCED = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^\1```$", flags=re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#{1,6}) +(.+?) *$", flags=re.MULTILINE)
ROW = re.compile(r"^\|.*\|$")
HAN = re.compile(r"[\u4e00-\u9fff]")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Those that GitHub makes of the headings."""
    made: Counter[str] = Counter()
    found = set()
    for _level, text in HEADING.findall(prose(page)):
        slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        found.add(slug if not made[slug] else f"{slug}-{made[slug]}")
        made[slug] += 1
    return found


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(CODE.sub("", prose(page))) if not re.match(r"[a-z]+:", link)]


def english(page: Path) -> Path:
    return page.with_name(page.name.replace(CHINESE, ".md"))


def tables(page: Path) -> list[tuple[int, int]]:
    """Of each table its rows and columns."""
    found: list[tuple[int, int]] = []
    inside = False
    for line in prose(page).splitlines():
        if ROW.match(line):
            columns = len(re.findall(r"(?<!\\)\|", line)) - 1
            if inside:
                assert columns == found[-1][1], f"{name(page)}: this row has {columns} columns: {line}"
                found[-1] = (found[-1][0] + 1, columns)
            else:
                found.append((1, columns))
        inside = bool(ROW.match(line))
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file_and_to_a_heading(page: Path) -> None:
    dead = []
    for link in links(page):
        path, _hash, anchor = link.partition("#")
        there = page.parent / path if path else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", TWINS, ids=name)
def test_a_chinese_page_has_the_headings_of_its_twin(page: Path) -> None:
    there = HEADING.findall(prose(english(page)))
    here = HEADING.findall(prose(page))
    assert [level for level, _text in here] == [level for level, _text in there], f"{here}\n{there}"
    # A heading is translated, or it is a name that stays.
    assert [
        text for _level, text in here if not HAN.search(text) and text not in [other for _level, other in there]
    ] == []


@pytest.mark.parametrize("page", TWINS, ids=name)
def test_a_chinese_page_has_the_examples_of_its_twin_and_only_their_comments_are_translated(page: Path) -> None:
    there = FENCED.findall(english(page).read_text(encoding="utf-8"))
    here = FENCED.findall(page.read_text(encoding="utf-8"))
    assert [language for _indent, language, _text in here] == [language for _indent, language, _text in there]
    for (_indent, _language, text), (_indent_there, _language_there, original) in zip(here, there):
        wrong = []
        assert len(text.splitlines()) == len(original.splitlines()), f"{text}\n{original}"
        for line, line_there in zip(text.splitlines(), original.splitlines()):
            code, _hash, comment = line.partition("# ")
            code_there, _hash_there, comment_there = line_there.partition("# ")
            if code != code_there or (comment != comment_there and not (HAN.search(comment) and comment_there)):
                wrong.append(f"{line}\n{line_there}")
        assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", TWINS, ids=name)
def test_a_chinese_page_has_the_tables_of_its_twin(page: Path) -> None:
    assert tables(page) == tables(english(page))


@pytest.mark.parametrize("page", TWINS, ids=name)
def test_a_chinese_page_names_what_its_twin_names(page: Path) -> None:
    """Variables, files, commands and values in the text, as often. So a change of one page is seen in the other."""
    there, here = Counter(CODE.findall(prose(english(page)))), Counter(CODE.findall(prose(page)))
    assert {"missing": there - here, "too many": here - there} == {"missing": Counter(), "too many": Counter()}


@pytest.mark.parametrize("page", TWINS, ids=name)
def test_a_chinese_page_leads_where_its_twin_leads(page: Path) -> None:
    """To the Chinese page where there is one. The order may differ."""

    def targets(one: Path) -> Counter[str]:
        found = [(one.parent / link.partition("#")[0]).resolve() if link[0] != "#" else one for link in links(one)]
        return Counter(name(english(path) if path.name.endswith(CHINESE) else path) for path in found)

    assert targets(page) == targets(english(page))
    translated = [link for link in links(page) if ".md" in link and english(page) != (page.parent / link).resolve()]
    translated = [link for link in translated if (page.parent / re.sub(r"\.md(#.*)?$", CHINESE, link)).is_file()]
    assert [link for link in translated if CHINESE not in link] == []


def test_the_readme_the_second_day_and_the_mirrors_are_there_in_chinese_and_each_leads_to_the_other() -> None:
    assert [name(page) for page in TWINS] == ["README.zh-CN.md", "docs/mirrors.zh-CN.md", "docs/second_day.zh-CN.md"]
    for page in TWINS:
        assert page.name in links(english(page))[:1], name(english(page))
        assert english(page).name in links(page)[:1], name(page)
