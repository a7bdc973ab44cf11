# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The main memory of a host."""

from __future__ import annotations


def total_bytes() -> int:
    """As the kernel counts it: without what firmware keeps for itself."""
    return _line("MemTotal:")


def available_bytes() -> int:
    """What programs can still get without swapping, by the kernel's estimate."""
    return _line("MemAvailable:")


def _line(name: str) -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))
