# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Load a model, keep it loaded, and tell where it landed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Dict, Optional, Union

from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import as_count, as_text
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.client import Client
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.duration import parse_duration
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.names import Name, is_named
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem

# A slow disk gives 100 MB a second; what comes on top is the server's own start of the model.
_BYTES_PER_SECOND = 100_000_000
_START_SECONDS = 300
# "For ever" is 292 years to the server.
_FOR_EVER_YEARS = 100


@dataclass(frozen=True)
class Loaded:
    """A model in memory, as `/api/ps` has it; from a server before 0.30 the sizes are its estimates."""

    size_bytes: int
    size_vram_bytes: int
    context_length: Optional[int]
    expires_at: str

    @property
    def gpu_percent(self) -> int:
        return 100 * self.size_vram_bytes // self.size_bytes if self.size_bytes else 0

    @property
    def pinned(self) -> bool:
        year = self.expires_at[:4]
        return year.isdecimal() and int(year) > datetime.now(timezone.utc).year + _FOR_EVER_YEARS

    def as_dict(self) -> Dict[str, Any]:
        return {
            "size_bytes": self.size_bytes,
            "size_vram_bytes": self.size_vram_bytes,
            "gpu_percent": self.gpu_percent,
            "context_length": self.context_length,
            "pinned": self.pinned,
        }


def parse_keep_alive(text: str) -> Union[int, str]:
    """As the API wants it: seconds as a number, or a duration as text."""
    seconds = parse_duration(text.strip())
    if seconds is None:
        raise OllamaProblem(
            f"keep_alive cannot be '{text}'.", "Give seconds, a duration such as 30m or 24h, or -1 for ever."
        )
    stripped = text.strip()
    return int(stripped) if stripped.lstrip("+-").isdigit() else stripped


def keeps_for_ever(keep_alive: Union[int, str]) -> bool:
    return (parse_duration(str(keep_alive)) or 0) < 0


def whole_file_seconds(size_bytes: int) -> int:
    """How long a server that reads the whole file, to load it or to copy it, may be silent."""
    return _START_SECONDS + size_bytes // _BYTES_PER_SECOND


def find_loaded(client: Client, name: Name) -> Optional[Loaded]:
    """The model, when it is in memory now."""
    for running in client.running():
        if is_named(running.get("name") or running.get("model"), name):
            return Loaded(
                size_bytes=as_count(running.get("size")) or 0,
                size_vram_bytes=as_count(running.get("size_vram")) or 0,
                context_length=as_count(running.get("context_length")),
                expires_at=as_text(running.get("expires_at")),
            )
    return None


def landing_warning(name: Name, loaded: Loaded) -> Optional[str]:
    """What to say when the model is not wholly on the GPUs."""
    if loaded.size_vram_bytes >= loaded.size_bytes:
        return None
    gib = 2**30
    where = (
        "runs on the CPU alone"
        if loaded.size_vram_bytes == 0
        else f"has {loaded.gpu_percent} % of it on the GPUs "
        f"({loaded.size_vram_bytes / gib:.1f} of {loaded.size_bytes / gib:.1f} GiB)"
    )
    return (
        f"{name} {where}. If that is not what you planned, see whether the server found the GPUs (it looks once, when "
        "it starts), and check num_gpu and num_ctx."
    )
