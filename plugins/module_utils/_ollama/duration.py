# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Durations as Go reads them: `5m`, `1h30m`, `-1s`, and, where Ollama takes those too, whole seconds."""

from __future__ import annotations

import re
from typing import Optional

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PIECE = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(r"[+-]?\d+")


def parse_duration(text: str) -> Optional[float]:
    """Seconds; None when neither Go's ParseDuration nor a whole number reads it."""
    if _WHOLE.fullmatch(text):
        return float(text)
    sign = -1.0 if text.startswith("-") else 1.0
    rest = text[1:] if text[:1] in ("+", "-") else text
    seconds = 0.0
    if not rest:
        return None
    while rest:
        piece = _PIECE.match(rest)
        if piece is None:
            return None
        seconds += float(piece.group(1)) * _UNITS[piece.group(2)]
        rest = rest[piece.end() :]
    return sign * seconds
