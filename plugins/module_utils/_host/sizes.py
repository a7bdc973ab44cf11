# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Sizes as text for people, in binary units."""

from __future__ import annotations

MIB, GIB = 2**20, 2**30


def shown_bytes(count: float) -> str:
    """With the unit that fits: 131.4 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.2f} TiB"


def in_mib(size_bytes: float) -> str:
    """The number alone: 97,231."""
    return f"{round(size_bytes / MIB):,}"


def in_gib(size_bytes: float) -> str:
    """The number alone: 1,024.5."""
    return f"{size_bytes / GIB:,.1f}"
