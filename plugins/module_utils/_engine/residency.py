# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A model in an engine's memory: how large it is, how much of it lies on GPUs, how long it stays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Mapping, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import as_count, as_text

# "For ever" is 292 years to Ollama.
_FOR_EVER_YEARS = 100


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


def resident(told: Mapping[str, Any]) -> Resident:
    """An entry of Ollama's C(/api/ps)."""
    return Resident(
        size_bytes=as_count(told.get("size")),
        size_vram_bytes=as_count(told.get("size_vram")),
        context_length=as_count(told.get("context_length")),
        expires_at=as_text(told.get("expires_at")),
    )
