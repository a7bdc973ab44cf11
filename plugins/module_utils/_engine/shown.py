# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Parameters as Ollama's C(/api/show) prints them."""

from __future__ import annotations

import ast
import re
from typing import Dict, List, Union

from ansible_collections.gguf.fleet.plugins.module_utils._text import lines

Scalar = Union[str, float, bool]

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def shown_parameters(text: str) -> Dict[str, List[Scalar]]:
    """`stop "<a>"`, `num_ctx 2048`, `seed 1e+06`: Go's %#v, one a line, the same name again for each item of a list."""
    found: Dict[str, List[Scalar]] = {}
    for line in lines(text):
        name, _blank, value = line.partition(" ")
        found.setdefault(name, []).append(_read_go_value(value.strip()))
    return found


def _read_go_value(text: str) -> Scalar:
    if text in ("true", "false"):
        return text == "true"
    try:
        # Go and Python quote texts alike. Of Python, only one text is read.
        return str(ast.literal_eval(text)) if _QUOTED.fullmatch(text) else float(text)
    except (ValueError, SyntaxError):
        return text
