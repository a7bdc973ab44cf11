# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON as Go's encoding/json writes it: digests of blobs and manifests depend on every byte."""

from __future__ import annotations

import json
import math
from typing import Any


def _number(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        raise ValueError("json: unsupported value: %s" % value)
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    digits = repr(float(value))
    if 1e-6 <= abs(value) < 1e21:
        if "e" not in digits:
            return digits[:-2] if digits.endswith(".0") else digits
        mantissa, exponent = digits.split("e")
        sign = "-" if mantissa.startswith("-") else ""
        whole, _dot, fraction = mantissa.lstrip("-").partition(".")
        fraction = "" if fraction == "0" else fraction
        shift = int(exponent)
        if shift >= 0:
            return sign + whole + fraction + "0" * (shift - len(fraction))
        return sign + "0." + "0" * (-shift - 1) + whole + fraction
    mantissa, exponent = ("%r" % value).split("e") if "e" in digits else (digits, "+00")
    mantissa = mantissa[:-2] if mantissa.endswith(".0") else mantissa
    sign = "-" if exponent.startswith("-") else "+"
    power = exponent.lstrip("+-").lstrip("0")
    # Go writes e-09 as e-9 but keeps e+21.
    return "%se%s%s" % (mantissa, sign, power)


def _string(value: str) -> str:
    text = json.dumps(value, ensure_ascii=False)
    for char, escape in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(char, escape)
    return text


def dumps(value: Any, *, sort_keys: bool = False) -> str:
    """Compact JSON; Go sorts maps (sort_keys) and keeps the order of a struct's fields."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, dict):
        keys = sorted(value) if sort_keys else list(value)
        return "{%s}" % ",".join("%s:%s" % (_string(key), dumps(value[key], sort_keys=sort_keys)) for key in keys)
    if isinstance(value, (list, tuple)):
        return "[%s]" % ",".join(dumps(item, sort_keys=sort_keys) for item in value)
    raise TypeError("json: unsupported type: %s" % type(value).__name__)
