# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""JSON byte for byte as Go's encoder writes it.

The store is addressed by content: only the same bytes have the same digest as what the server itself would write.
Kept to: encoding/json with its default HTML escaping, as json.NewEncoder(w).Encode(v) is used all over Ollama.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Mapping

# Integers beyond it pass through a float64 in the server's API and lose digits there.
_EXACT = 2**53

_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def encode(value: Any, *, sort_keys: bool = False) -> bytes:
    """One JSON line. Go sorts the keys of a map (`sort_keys`) and keeps the order of a struct's fields."""
    return (_text(value, sort_keys) + "\n").encode("utf-8", errors="replace")


def _text(value: Any, sort_keys: bool) -> str:
    if isinstance(value, str):
        return _string(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, Mapping):
        names = sorted(value) if sort_keys else list(value)
        return "{" + ",".join(f"{_string(name)}:{_text(value[name], sort_keys)}" for name in names) + "}"
    return "[" + ",".join(_text(item, sort_keys) for item in value) + "]"


def _string(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    for character, escape in _ESCAPES.items():
        quoted = quoted.replace(character, escape)
    return quoted


def _number(value: float) -> str:
    if isinstance(value, int) and -_EXACT <= value <= _EXACT:
        return str(value)
    number = float(value)
    if number == 0 or 1e-6 <= abs(number) < 1e21:
        plain = format(Decimal(repr(number)), "f")
        return plain[:-2] if plain.endswith(".0") else plain
    mantissa, _e, exponent = repr(number).partition("e")
    # Go writes 1e-7 and 1e+21: a sign always, no leading zero.
    power = int(exponent) if exponent else 0
    return f"{mantissa}e{power:+d}"
