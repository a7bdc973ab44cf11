# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Load a model, keep it loaded, and tell where it landed."""

from __future__ import annotations

import time
from typing import Any, Dict, List, Optional, Set, Tuple, Union

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import Name, full_name
from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama
from ansible_collections.gguf.fleet.plugins.module_utils._engine.residency import Resident
from ansible_collections.gguf.fleet.plugins.module_utils._engine.runners import Memory
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.duration import parse_duration
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem, StaysInMemory

# A slow disk gives 100 MB a second; what comes on top is the server's own start of the model.
_BYTES_PER_SECOND = 100_000_000
_START_SECONDS = 300
# A request that is being answered holds its model.
UNLOAD_SECONDS = 300
_OLDER_SECONDS = 5
_POLL_SECONDS = 0.2


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


def find_loaded(server: Ollama, name: Name) -> Tuple[Optional[Resident], bool]:
    """What serves the model now, under whatever name of its file, and whether that is sure.

    Of what was loaded before its name meant another model, only a load can tell whom it serves: it does nothing there.
    """
    memory = Memory(server)
    serving = memory.serving(str(name))
    if serving is not None:
        return serving.resident, True
    full = full_name(str(name))
    unsure = sorted(memory.strangers(), key=lambda one: one.name != full)
    return (unsure[0].resident, False) if unsure else (None, True)


def load(server: Ollama, name: Name, limit_seconds: float, keep_alive: Union[int, str]) -> bool:
    """Load the model; false when a runner that was there serves it."""
    before = _listed(server)
    server.load(str(name), limit_seconds, keep_alive)
    return _listed(server) != before


def unload(server: Ollama, name: Name, limit_seconds: float = UNLOAD_SECONDS, *, all_of_it: bool = False) -> List[str]:
    """Take what is listed under this name out of memory, and see that it is gone; warnings of what cannot go.

    Raises StaysInMemory when it stays: once its name means other weights, nobody can unload it. all_of_it: also for
    what the name meant before already, which is a warning otherwise.
    """
    memory = Memory(server)
    going = {one.digest for one in memory.running if one.name == full_name(str(name))}
    older = {one.digest for one in memory.strangers()}
    # What was loaded by a name that is gone may be what serves this one.
    if not going and not older:
        return []
    server.load(str(name), whole_file_seconds(0), keep_alive=0)
    begun = time.monotonic()
    while left := going & _of_name(server, name):
        seconds = time.monotonic() - begun
        if left <= older and seconds >= _OLDER_SECONDS:
            problem = StaysInMemory(
                f"{name} is in the memory of {server.url} with older weights as well ({', '.join(sorted(left))}).",
                "No request can unload them: restart the service when it suits.",
            )
            if all_of_it:
                raise problem
            return [str(problem)]
        if seconds >= limit_seconds:
            raise StaysInMemory(
                f"{server.url}: {name} is still in memory {limit_seconds:.0f} s after it was asked to go.",
                "Run again when its requests are done; what stays then goes with a restart of the service.",
            )
        time.sleep(_POLL_SECONDS)
    return []


def _of_name(server: Ollama, name: Name) -> Set[str]:
    return {one.digest for one in server.running() if one.name == full_name(str(name))}


def _listed(server: Ollama) -> List[Tuple[str, str]]:
    return sorted((one.name, one.digest) for one in server.running())


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
