# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fenced blocks of README.md, docs/ and the roles' pages, each with its page and line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
# Their translations have the same blocks, which another test compares.
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.suffixes == [".md"])]
PAGES += sorted((ROOT / "roles").glob("*/README.md"))

_FENCE = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"\A# (?:[\w.-]+/)*([\w.-]+\.yml)\b")
# A template of Ollama with its path in a comment.
_TEMPLATE = re.compile(r"\A\{\{- /\* ([\w./-]+) \*/ -\}\}\n")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str:
        """The name of the file that it shows, by the comment on its first line; empty for none."""
        named = _NAMED.match(self.text)
        return named[1] if named else ""

    @property
    def template_file(self) -> str:
        """The path of the template that it shows, by the comment on its first line; empty for none."""
        named = _TEMPLATE.match(self.text)
        return named[1] if named else ""


@dataclass(frozen=True)
class Command:
    block: Block
    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.block.page.relative_to(ROOT)}:{self.line}"

    @property
    def text(self) -> str:
        return shlex.join(self.words)


class Loader(yaml.SafeLoader):
    """YAML with Ansible's tags."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))  # type: ignore[arg-type]


def load(text: str) -> Any:
    return yaml.load(text, Loader=Loader)


def blocks(*languages: str) -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            if not languages or match[2] in languages:
                found.append(Block(page, line, match[2], match[3]))
    return found


def commands() -> Iterator[Command]:
    """Each command of the blocks in sh, with continued lines as one and without comments."""
    for block in blocks("sh"):
        line = block.line
        pending = ""
        for text in block.text.splitlines():
            line += 1
            pending += text.removesuffix("\\")
            if text.endswith("\\"):
                continue
            words = shlex.split(pending, comments=True)
            # What is set for one command only.
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words = words[1:]
            if words:
                yield Command(block, line, tuple(words))
            pending = ""
