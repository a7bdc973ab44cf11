# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Go prints values: durations, %v, %#v, quoted strings, and the messages of failed system calls."""

from __future__ import annotations

import math
import os
import re
from datetime import datetime, timezone
from typing import Any, Optional

NANOSECONDS = 1_000_000_000
FOREVER = (1 << 63) - 1

_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": NANOSECONDS}
_UNITS["m"] = 60 * NANOSECONDS
_UNITS["h"] = 3600 * NANOSECONDS
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def parse_duration(text: str) -> int:
    """Go's time.ParseDuration: nanoseconds, or ValueError."""
    sign, rest = 1, text
    if rest[:1] in ("+", "-"):
        sign, rest = (-1 if rest[0] == "-" else 1), rest[1:]
    if rest == "0":
        return 0
    total, position = 0.0, 0
    while position < len(rest):
        part = _PART.match(rest, position)
        if part is None:
            break
        total += float(part.group(1)) * _UNITS[part.group(2)]
        position = part.end()
    if not rest or position != len(rest):
        raise ValueError('time: invalid duration "%s"' % text)
    return sign * int(total)


def duration(nanoseconds: int) -> str:
    """Go's Duration.String, as in the log line of the server's settings."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    value = abs(nanoseconds)
    if value < NANOSECONDS:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if value >= size:
                return "%s%s%s" % (sign, ("%f" % (value / size)).rstrip("0").rstrip("."), unit)
    seconds = ("%.9f" % ((value % (60 * NANOSECONDS)) / NANOSECONDS)).rstrip("0").rstrip(".")
    minutes, hours = value // (60 * NANOSECONDS) % 60, value // (3600 * NANOSECONDS)
    if hours:
        return "%s%dh%dm%ss" % (sign, hours, minutes, seconds)
    if minutes:
        return "%s%dm%ss" % (sign, minutes, seconds)
    return "%s%ss" % (sign, seconds)


def time_rfc3339(seconds: Optional[float] = None) -> str:
    """RFC 3339 with fractions of a second, UTC, as Go marshals a time."""
    moment = datetime.now(timezone.utc) if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
    fraction = ("%06d" % moment.microsecond).rstrip("0")
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (("." + fraction) if fraction else "") + "Z"


def os_error(operation: str, path: str, problem: OSError) -> str:
    """Go's *PathError: `open /x: permission denied`."""
    return "%s %s: %s" % (operation, path, os.strerror(problem.errno or 0).lower())


def quoted(text: str) -> str:
    """strconv.Quote for the strings that parameters hold."""
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char in "\n\t\r\a\b\f\v":
            out.append(
                {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}[char]
            )
        elif char == " " or char.isprintable():
            out.append(char)
        elif ord(char) < 0x80:
            out.append("\\x%02x" % ord(char))
        elif ord(char) < 0x10000:
            out.append("\\u%04x" % ord(char))
        else:
            out.append("\\U%08x" % ord(char))
    return '"%s"' % "".join(out)


def number(value: float) -> str:
    """A float64 under %v or %#v: the shortest digits, with an exponent from 1e+06 on and below 1e-04."""
    if value == 0:
        return "0"
    for precision in range(17):
        text = "%.*e" % (precision, value)
        if float(text) == value:
            break
    mantissa, power = text.split("e")
    if -4 <= int(power) < 6:
        digits = repr(float(value))
        return digits[:-2] if digits.endswith(".0") else digits
    return "%se%s%02d" % (mantissa, power[0], abs(int(power)))


def literal(value: Any) -> str:
    """%#v of a value that came out of JSON, as /api/show prints parameters."""
    if value is None:
        return "interface {}(nil)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number(float(value))
    if isinstance(value, str):
        return quoted(value)
    return str(value)


def plain(value: Any) -> str:
    """%v of a value that came out of JSON, as /api/show's modelfile prints parameters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number(float(value))
    return str(value)


def human_number(count: int) -> str:
    """A parameter count: 134.52M, 671.0B."""
    for size, suffix, digits in ((10**9, "B", 1), (10**6, "M", 2)):
        if count >= size:
            number = count / size
            return (
                ("%.0f%s" % (number, suffix)) if number == math.floor(number) else "%.*f%s" % (digits, number, suffix)
            )
    return "%.0fK" % (count / 1000) if count >= 1000 else str(count)


def human_bytes(count: int) -> str:
    """A size in decimal units, as `ollama list` prints it."""
    for size, unit in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "KB")):
        if count >= size:
            value = count / size
            return "%d %s" % (value, unit) if value >= 10 or value == math.trunc(value) else "%.1f %s" % (value, unit)
    return "%d B" % count


def human_bytes_binary(count: int) -> str:
    """A size in binary units, as messages about memory print it."""
    for size, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= size:
            return "%.1f %s" % (count / size, unit)
    return "%d B" % count


def human_time(seconds_from_now: float) -> str:
    """`2 minutes ago`, `4 minutes from now`."""
    span = abs(seconds_from_now)
    for size, unit in (
        (365 * 86400, "year"),
        (30 * 86400, "month"),
        (7 * 86400, "week"),
        (86400, "day"),
        (3600, "hour"),
        (60, "minute"),
    ):
        if span >= size:
            number = int(span // size)
            text = (
                "About an hour"
                if unit == "hour" and number == 1
                else "%d %s%s" % (number, unit, "" if number == 1 else "s")
            )
            if unit == "minute" and number == 1:
                text = "About a minute"
            break
    else:
        text = "%d seconds" % span if span >= 2 else "Less than a second" if span < 1 else "1 second"
    return text + (" from now" if seconds_from_now > 0 else " ago")
