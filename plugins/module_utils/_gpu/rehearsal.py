# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a rehearsal took on each card, beside what was planned."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import MIB
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable


def rehearsal_lines(hosts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """What rehearse.yml saw: a line a model, and below it a line a card."""
    lines = []
    for host, rows in hosts.items():
        lines.append(f"{host}:")
        for row in rows:
            if row["error"]:
                lines.append(f"  {row['model']}: FAILED: {row['error']}")
                continue
            lines.append(f"  {row['model']}: loaded, and made a token.")
            lines += [f"      {line}" for line in _cards(row)]
    # Errors are the engines' own words.
    return [printable(line) for line in lines]


def _cards(row: Mapping[str, Any]) -> list[str]:
    planned = {_key(card): card["total_mib"] for card in (row["plan"] or {}).get("per_device", [])}
    before = {_key(gpu): gpu["memory_used_bytes"] for gpu in row["before"]}
    lines = []
    for gpu in row["during"]:
        taken = _taken_mib(before.get(_key(gpu)), gpu["memory_used_bytes"])
        if _key(gpu) in planned:
            lines.append(f"GPU {gpu['index']}: {_compared(taken, planned[_key(gpu)])}")
        elif taken:
            lines.append(f"GPU {gpu['index']}: {taken:,} MiB taken where none were planned.")
    return lines or ["No GPU was seen, so no memory could be compared."]


def _compared(taken: Optional[int], planned: int) -> str:
    if taken is None:
        return f"{planned:,} MiB planned; the driver does not say what is used."
    over = f", {taken - planned:,} MiB MORE than planned" if taken > planned else ""
    return f"{taken:,} MiB taken, {planned:,} MiB planned with its margin{over}."


def _taken_mib(before: Optional[int], during: Optional[int]) -> Optional[int]:
    return None if before is None or during is None else round((during - before) / MIB)


def _key(card: Mapping[str, Any]) -> Any:
    return card.get("uuid") or card["index"]
