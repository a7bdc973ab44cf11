# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a build says: how far it is, and what went wrong last."""

from __future__ import annotations

import collections
import re
from typing import Deque, List, Optional, Set, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

_MAKE = re.compile(r"\[ *(\d{1,3})%\] +(.+)")
_NINJA = re.compile(r"\[(\d+)/(\d+)\] +(.+)")
_ERROR = re.compile(r"error[: ]|Error \d|CMake Error|undefined reference|No rule to make|fatal|ninja: |Killed|No space")
_KEPT_LINES = 400
_SHOWN_LINES = 12
_LINE_CHARACTERS = 300


def step_of(line: str) -> Optional[Tuple[int, str]]:
    """The percentage that a line of make or ninja tells, and what it does."""
    made = _MAKE.match(line)
    if made:
        return min(100, int(made.group(1))), made.group(2)
    done = _NINJA.match(line)
    if done and int(done.group(2)):
        return min(100, 100 * int(done.group(1)) // int(done.group(2))), done.group(3)
    return None


class Tail:
    """The last lines of an output."""

    def __init__(self) -> None:
        self._lines: Deque[str] = collections.deque(maxlen=_KEPT_LINES)

    def add(self, line: str) -> None:
        self._lines.append(line)

    def errors(self) -> List[str]:
        """The last lines that tell an error, each with the line behind it; the very last ones where none does."""
        told = list(self._lines)
        wanted: Set[int] = set()
        for index, line in enumerate(told):
            if _ERROR.search(line):
                wanted.update((index, index + 1))
        chosen = [told[index] for index in sorted(wanted) if index < len(told)] or told
        return [printable(line, limit=_LINE_CHARACTERS) for line in chosen[-_SHOWN_LINES:] if line.strip()]
