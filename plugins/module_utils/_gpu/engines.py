# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What differs between engines and their versions when a model is laid out over GPUs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError

OLLAMA = "ollama"
LLAMA_CPP = "llama_cpp"

# Who decides how many blocks each GPU gets.
ROUND_ROBIN = "round_robin"  # Ollama's estimate deals blocks like cards (llm/memory.go)
BALANCED = "balanced"  # Ollama since 0.12.11 finds the evenest contiguous split (llm/server.go); so do we for llama.cpp
BY_MEMORY = "by_memory"  # llama-server under Ollama >= 0.30: in proportion to free memory

MIB = 1024 * 1024


@dataclass(frozen=True)
class Rules:
    engine: str
    version: Optional[str]
    output_counts: bool  # whether -ngl N takes the output layer before the blocks
    dealing: str
    reads_latent: bool  # can load files with MLA keys
    latent_values: bool
    sliding_cache: bool
    unified: bool  # one KV cache for all slots
    flash_attention: bool  # on unless switched off, where the GPU has a kernel
    judged: bool  # whether these are the rules of the llama.cpp that the conformance suite asks
    overhead_bytes: int  # a card's CUDA context, and the slack that the engine leaves


def rules_for(engine: str, version: Optional[str]) -> Rules:
    """The rules of an engine's version; of the newest known one when no version is given."""
    if engine == OLLAMA:
        return _ollama(version)
    if engine == LLAMA_CPP:
        return _llama_cpp(version)
    raise GpuError(f"There is no engine {engine}.", f"Use {OLLAMA} or {LLAMA_CPP}.")


def _ollama(version: Optional[str]) -> Rules:
    number = _triple(version)
    modern = number >= (0, 30, 0)
    dealing = BY_MEMORY if modern else BALANCED if number >= (0, 12, 11) else ROUND_ROBIN
    return Rules(
        engine=OLLAMA,
        version=version,
        output_counts=modern,
        dealing=dealing,
        reads_latent=number >= (0, 7, 0),
        # Its llama.cpp was that of December 2025 until 0.30.
        latent_values=not modern,
        sliding_cache=modern,
        unified=not modern,
        flash_attention=modern,
        judged=modern,
        # discover's MinimumMemory for CUDA; a context on an H20 is about as large.
        overhead_bytes=(1024 if modern else 457) * MIB,
    )


def _llama_cpp(version: Optional[str]) -> Rules:
    build = _build(version)
    return Rules(
        engine=LLAMA_CPP,
        version=version,
        # Blocks first in December 2025, the output layer first in spring 2026; the build between is not pinned down.
        output_counts=build >= 7900,
        dealing=BALANCED,
        reads_latent=build >= 5200,
        latent_values=build < 7900,
        sliding_cache=build >= 5500,
        unified=build < 6000,
        flash_attention=build >= 6500,
        judged=build >= 7900,
        # The margin that llama.cpp's own --fit leaves on each card, which covers the CUDA context.
        overhead_bytes=1024 * MIB,
    )


def _triple(version: Optional[str]) -> tuple[int, int, int]:
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version or "")
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (999, 0, 0)


def _build(version: Optional[str]) -> int:
    """b4610 is 4610. Distributions number otherwise (0.7.0); all of those are newer than every rule here."""
    match = re.match(r"b?(\d{4,6})$", version or "")
    return int(match[1]) if match else 999999
