# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Text from outside: names, messages and answers of hubs, engines, archives and files that we did not write.

Such text can hold characters that end a line for one reader and not for another, that move the cursor of a terminal or
that hide what is really there. It is refused in names, and escaped wherever it leaves us.
"""

from __future__ import annotations

import unicodedata
from typing import List, Optional

# Cc: C0 and C1 controls; Cf: bidirectional and zero-width; Zl, Zp: line and paragraph separators; Cs: lone surrogates.
_UNSAFE_CATEGORIES = ("Cc", "Cf", "Zl", "Zp", "Cs")
_MAX_MESSAGE_CHARACTERS = 2000


def is_unsafe(character: str) -> bool:
    """Whether a terminal, a unit file or a reader of lines may take this character for more than a letter."""
    code = ord(character)
    # Unicode's noncharacters: systemd takes a text with one for broken and ignores the whole line.
    if code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        return True
    return unicodedata.category(character) in _UNSAFE_CATEGORIES


def has_control(text: str) -> bool:
    """Whether the text holds any control, separator, bidirectional or zero-width character, line ends included."""
    return not (text.isascii() and text.isprintable()) and any(map(is_unsafe, text))


def printable(text: str, *, limit: int = _MAX_MESSAGE_CHARACTERS, lines: bool = False) -> str:
    """The text for a terminal, a log or a message: unsafe characters are escaped, and at most `limit` characters stay.

    With `lines`, line ends (and tabs) stay as they are.
    """
    kept = "\n\t" if lines else ""
    if len(text) > limit:
        text = text[:limit] + f"... ({len(text) - limit} more characters)"
    if not has_control(text):
        return text
    return "".join(
        character if character in kept or not is_unsafe(character) else _escaped(character) for character in text
    )


def plain_name_problem(name: str) -> Optional[str]:
    """What keeps this text from being a plain name (of a file, a repository, a model), as the end of a sentence."""
    if not name:
        return "is empty"
    for character in name:
        if is_unsafe(character) or (character != " " and unicodedata.category(character) == "Zs"):
            return f"holds the character U+{ord(character):04X}, which is not a printable one"
    return None


def lines(text: str) -> List[str]:
    """The lines of a text, as every program but Python sees them: they end at a line feed and nowhere else."""
    found = text.split("\n")
    return found[:-1] if found[-1] == "" else found


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
