# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What min_gpus.yml saw, as lines of text: the plan beside reality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import MIB
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable


def trial_lines(hosts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """A line a number of GPUs."""
    lines = []
    for host, rows in hosts.items():
        lines.append(f"{host}:")
        for row in rows:
            speed = row["tokens_per_second"]
            seen = (
                f"answered, {speed:.1f} tokens/s"
                if row["answered"] and speed
                else "answered"
                if row["answered"]
                else "FAILED"
            )
            used = [used_bytes / MIB for used_bytes in row["used_bytes"]]
            memory = f"{_range(used)} MiB a card, planned {_range(row['planned_mib'])}"
            lines.append(
                f"  {row['gpus']:>2} GPUs: {seen}; {memory} ({'fits' if row['plan_fits'] else 'does not fit'})"
            )
            if row["error"]:
                lines.append(f"      {row['error']}")
        good = [row["gpus"] for row in rows if row["answered"]]
        lines.append(f"  Fewest GPUs that answered: {min(good) if good else 'none'}.")
    # Errors are the engines' own words.
    return [printable(line) for line in lines]


def _range(numbers: Sequence[float]) -> str:
    if not numbers:
        return "?"
    low, high = f"{min(numbers):,.0f}", f"{max(numbers):,.0f}"
    return low if low == high else f"{low} to {high}"
