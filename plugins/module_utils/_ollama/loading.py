# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Load a model, keep it loaded, and tell where it landed."""

from __future__ import annotations

from typing import Any, Dict, Optional, Union

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import Name, full_name
from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama
from ansible_collections.gguf.fleet.plugins.module_utils._engine.residency import Resident
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.duration import parse_duration
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem

# A slow disk gives 100 MB a second; what comes on top is the server's own start of the model.
_BYTES_PER_SECOND = 100_000_000
_START_SECONDS = 300


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


def find_loaded(server: Ollama, name: Name) -> Optional[Resident]:
    """The model, when it is in memory now."""
    return server.residents().get(full_name(str(name)))


def landed(loaded: Resident) -> Dict[str, Any]:
    """The same for the result."""
    size_bytes, on_gpus = loaded.size_bytes or 0, loaded.size_vram_bytes or 0
    return {
        "size_bytes": size_bytes,
        "size_vram_bytes": on_gpus,
        "gpu_percent": 100 * on_gpus // size_bytes if size_bytes else 0,
        "context_length": loaded.context_length,
        "pinned": loaded.pinned,
    }


def landing_warning(name: Name, loaded: Resident) -> Optional[str]:
    """What to say when the model is not wholly on the GPUs."""
    told = landed(loaded)
    if told["size_vram_bytes"] >= told["size_bytes"]:
        return None
    gib = 2**30
    where = (
        "runs on the CPU alone"
        if told["size_vram_bytes"] == 0
        else f"has {told['gpu_percent']} % of it on the GPUs "
        f"({told['size_vram_bytes'] / gib:.1f} of {told['size_bytes'] / gib:.1f} GiB)"
    )
    return (
        f"{name} {where}. If that is not what you planned, see whether the server found the GPUs (it looks once, when "
        "it starts), and check num_gpu and num_ctx."
    )
