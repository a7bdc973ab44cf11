# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A table of plain text: columns as wide as their widest cell, sentences cut to one line."""

from __future__ import annotations

from typing import List, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

SENTENCE_CHARACTERS = 300
# What went wrong, and what was put back because of it.
FAILURE_CHARACTERS = 700


def grid(rows: Sequence[Sequence[str]]) -> List[str]:
    """Lines. A column that is empty below its heading, the first row, is left out."""
    columns = [column for column in zip(*rows) if len(rows) < 2 or any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    # What hosts say is part of the cells.
    return [
        printable("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()) for row in zip(*columns)
    ]


def sentence(text: str, limit: int = SENTENCE_CHARACTERS) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(text.split())
    return printable(line if len(line) <= limit else line[: limit - 1].rstrip() + "…")
