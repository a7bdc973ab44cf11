# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""JSON from outside, and its parts when they have the type that they should have.

The standard reader takes what JSON does not know (NaN, numbers without end), ends deep nesting with another error than
it documents, and hands on halves of surrogate pairs, which no later writer can encode.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Dict, List, Optional, Union

# More than 64 bits have. Longer ones cost the square of their length to read.
_MAX_DIGITS = 20
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def decode_json(data: bytes) -> Any:
    """The value of a whole answer that was read with a limit. Raises ValueError whatever is wrong with it."""
    try:
        value = json.loads(data, parse_int=_whole, parse_float=_real, parse_constant=_no_number)
        if _SURROGATE.search(data):
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("its parts are nested too deeply") from None
    return value


def as_dict(value: Any) -> Dict[str, Any]:
    """The object that should be here; an empty one where something else is."""
    return value if isinstance(value, dict) else {}


def as_dicts(value: Any) -> List[Dict[str, Any]]:
    """The objects of the list that should be here."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """The text that should be here; empty where something else is."""
    return value if isinstance(value, str) else ""


def as_number(value: Any) -> Optional[Union[int, float]]:
    """The number, zero or more, that should be here; None where something else is."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 else None


def as_count(value: Any) -> Optional[int]:
    """The whole number, zero or more, that should be here; None where something else is."""
    number = as_number(value)
    return number if isinstance(number, int) else None


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"it holds a number of {len(text):,} digits")
    return int(text)


def _real(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("it holds a number that is too large")
    return number


def _no_number(text: str) -> None:
    raise ValueError(f"it holds {text}, which JSON does not know")
