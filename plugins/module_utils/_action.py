# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a run did, or would do in check mode: the `actions` that every module returns, a sentence a step, in order."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._text import printable


def sentence(verb: str, what: str, *, size_bytes: int = 0, reasons: Sequence[str] = ()) -> str:
    """`verb what (N bytes): reason, reason`; 0 bytes and no reasons are not said."""
    size = f" ({size_bytes:,} bytes)" if size_bytes else ""
    why = f": {', '.join(reasons)}" if reasons else ""
    return printable(f"{verb.replace('_', ' ')} {what}{size}{why}")


def sentences(actions: Sequence[Mapping[str, Any]]) -> List[str]:
    """Of steps as values: action, path, and where they have them size_bytes and reason."""
    return [
        sentence(
            step["action"],
            step["path"],
            size_bytes=step.get("size_bytes", 0),
            reasons=[step["reason"]] if step.get("reason") else [],
        )
        for step in actions
    ]
