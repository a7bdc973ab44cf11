# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a check gives: one sentence about one subject, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1024**3
MIB = 1024**2

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True)
class Finding:
    subject: str
    level: str
    text: str
    remedy: str = ""
    short: str = ""  # for the cell of a table, where a good finding says something worth a cell
