# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A model in an engine's memory: how large it is, how much of it lies on GPUs, how long it stays."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Mapping, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import as_count, as_text

# "For ever" is 292 years to Ollama.
_FOR_EVER_YEARS = 100
# Go's fractions have more digits than Python reads.
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)$", re.ASCII)


@dataclass(frozen=True)
class Resident:
    """What the engine tells of it, None where it does not; from an Ollama before 0.30 the bytes are its estimates."""

    size_bytes: Optional[int] = None
    size_vram_bytes: Optional[int] = None
    context_length: Optional[int] = None
    expires_at: str = ""

    @property
    def share(self) -> Optional[float]:
        """The part of it that lies on GPUs, between 0 and 1."""
        if not self.size_bytes or self.size_vram_bytes is None:
            return None
        return round(min(1.0, self.size_vram_bytes / self.size_bytes), 4)

    @property
    def pinned(self) -> bool:
        """Whether it stays until somebody unloads it."""
        year = self.expires_at[:4]
        return year.isdecimal() and int(year) > datetime.now(timezone.utc).year + _FOR_EVER_YEARS

    @property
    def seconds_left(self) -> Optional[float]:
        """How long it stays when nobody asks for it; None where that is not told."""
        found = _TIME.match(self.expires_at)
        if found is None:
            return None
        try:
            until = datetime.fromisoformat(found.group(1) + found.group(2).replace("Z", "+00:00"))
            return (until - datetime.now(timezone.utc)).total_seconds()
        except (ValueError, OverflowError):
            return None


def resident(told: Mapping[str, Any]) -> Resident:
    """An entry of Ollama's C(/api/ps)."""
    return Resident(
        size_bytes=as_count(told.get("size")),
        size_vram_bytes=as_count(told.get("size_vram")),
        context_length=as_count(told.get("context_length")),
        expires_at=as_text(told.get("expires_at")),
    )
