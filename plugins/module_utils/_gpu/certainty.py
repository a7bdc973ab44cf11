# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""How sure a plan is of its weights, its KV cache and its working memory, and what is added where it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.engines import Rules
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import Model
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import MIB

EXACT, ESTIMATED, UNKNOWN = "exact", "estimated", "unknown"
PARTS = ("weights", "kv", "compute")

# Added to what is estimated, in percent of it.
WEIGHTS_MARGIN, KV_MARGIN, COMPUTE_MARGIN = 1, 2, 25


@dataclass(frozen=True)
class Certainty:
    weights: str = EXACT
    kv: str = EXACT
    compute: str = EXACT
    margins: bool = False  # whether the margins are added
    because: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        return UNKNOWN not in (self.weights, self.kv, self.compute)

    def margin_bytes(self, weights: int, kv: int, compute: int) -> int:
        if not self.margins:
            return 0
        return (weights * WEIGHTS_MARGIN + kv * KV_MARGIN + compute * COMPUTE_MARGIN) // 100

    def as_facts(self) -> dict[str, Any]:
        return told({"weights": self.weights, "kv": self.kv, "compute": self.compute}, self.because)


def told(parts: Mapping[str, str], because: Sequence[str]) -> dict[str, Any]:
    """Certainty as plain data, with a summary in words."""
    summary = f"weights {parts['weights']}, KV cache {parts['kv']}, working memory {parts['compute']}"
    return {**{part: parts[part] for part in PARTS}, "because": list(because), "summary": summary}


def is_known(certainty: Mapping[str, Any]) -> bool:
    return all(certainty[part] != UNKNOWN for part in PARTS)


def refusal(plan: Mapping[str, Any]) -> Optional[str]:
    """Why a model is not to be fetched or started as planned (a plan's facts); nothing where it is known to fit."""
    certainty, model = plan["certainty"], plan["model"]
    if not is_known(certainty):
        seems = "seems to fit" if plan["fits"] else "seems not to fit"
        return (
            f"{model} is not known to fit: {' '.join(certainty['because'])} By what is understood it {seems}. "
            "Rehearse it (playbooks/rehearse.yml), or set models_plan to warn to try it anyway."
        )
    if not plan["fits"]:
        ways = [plan["reason"], plan["nearest"] or ""]
        ways.append("Change its parameters or quant, or set models_plan to warn to try it anyway.")
        return f"{model} does not fit. {' '.join(way for way in ways if way)}"
    return None


def certainty_of(model: Model, rules: Rules, *, cuda: bool) -> Certainty:
    """Exact is what tests compare with llama.cpp's own accounting, for this family and the newest rules.

    :param cuda: whether GPUs take part, of which the terms are read from llama.cpp's source and were never measured.
    """
    if model.unknown:
        return Certainty(UNKNOWN, UNKNOWN, UNKNOWN, margins=True, because=model.unknown)
    because: list[str] = []
    estimated = False
    if not model.judged:
        estimated = True
        because.append(f"Plans of the architecture {model.architecture} are not compared with llama.cpp's own numbers.")
    if not model.listed:
        estimated = True
        because.append("The facts do not list the model's tensors. A lock made by gguf_resolve does.")
    if estimated:
        because.append(
            f"Added: {WEIGHTS_MARGIN} % of the weights, {KV_MARGIN} % of the KV cache and {COMPUTE_MARGIN} % of the "
            "working memory."
        )
    parts = ESTIMATED if estimated else EXACT
    kv = compute = parts
    if not rules.judged:
        kv = compute = ESTIMATED
        because.append(f"The rules of {rules.engine} {rules.version} are read from its source and were not measured.")
    if cuda:
        compute = ESTIMATED
        because.append(
            f"CUDA's own memory is not measured: {rules.overhead_bytes // MIB:,} MiB a card are kept for its context, "
            "and which heads have flash attention is read from ggml-cuda/fattn.cu."
        )
    return Certainty(parts, kv, compute, margins=estimated, because=tuple(because))
