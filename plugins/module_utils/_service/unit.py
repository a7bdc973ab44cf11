# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Values on their way into a unit: each stays on its line and means to systemd what it says."""

from __future__ import annotations

import re
from typing import Any, Iterable, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._text import has_control, printable

_PLAIN_WORD = re.compile(r"[A-Za-z0-9@%$+=:,./_-]+\Z")
_PLAIN_PATH = re.compile(r"[^\s\"'\\]+\Z")


def command(arguments: Iterable[Any]) -> str:
    """ExecStart=: `$`, `%`, blanks, quotes and backslashes reach the program as they are."""
    words = []
    for argument in map(str, arguments):
        if has_control(argument):
            raise _unprintable(argument)
        word = argument.replace("%", "%%").replace("$", "$$")
        if not _PLAIN_WORD.match(word):
            word = '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
        words.append(word)
    return " ".join(words)


def value(text: str) -> str:
    """A setting that is one text: a description, a user, a directory to work in."""
    if has_control(text):
        raise _unprintable(text)
    if text.endswith("\\"):
        raise ServiceProblem(f"'{text}' ends with a backslash, which would join it with the next line.", "Remove it.")
    return text.strip(" ").replace("%", "%%")


def paths(given: Sequence[str]) -> str:
    """A setting that is a list of paths."""
    words = []
    for path in map(str, given):
        word = value(path)
        if word != path.replace("%", "%%") or re.search(r"[\"'\\]", path) or not path.startswith("/"):
            raise ServiceProblem(
                f"'{path}' cannot be written as a path of a unit.",
                "Name a whole path, without quotes, backslashes and blanks at its ends.",
            )
        words.append(word if _PLAIN_PATH.match(word) else f'"{word}"')
    return " ".join(words)


def _unprintable(text: str) -> ServiceProblem:
    return ServiceProblem(
        f"'{printable(text)}' holds a line end or another control character.",
        "It is for a unit: give one line of plain text.",
    )
