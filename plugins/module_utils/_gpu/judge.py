# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A plan beside what llama-fit-params says about it: the question, the reading of the answer, and who decides what.

Through the real backend of the GPUs the engine's word decides. Stand-ins for GPUs (RPC servers on the CPU) hold no CUDA
context and fetch nothing from the host: through them it decides weights and KV cache, and our working memory is added.
Memory is counted against what the cards have for an engine, never against what is free right now.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.certainty import (
    COMPUTE_MARGIN,
    EXACT,
    PARTS,
    refusal,
    told,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.engines import LLAMA_CPP
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

HOST = "Host"
MAX_DEVICES = 64
# Larger differences than this are said. Whole MiB are printed, and a plan rounds each of its terms.
TOLERANCE = 0.02
ROUNDING_MIB = 3

_LINE = re.compile(
    rb"([A-Za-z][A-Za-z0-9_.:\[\]-]{0,99})[ \t]+([0-9]{1,9})[ \t]+([0-9]{1,9})[ \t]+([0-9]{1,9})[ \t]*\r?"
)

# What of llama-server's parameters decides about memory, in the words that llama-fit-params knows too.
_MEMORY = (
    "ctx-size",
    "parallel",
    "n-gpu-layers",
    "split-mode",
    "tensor-split",
    "main-gpu",
    "n-cpu-moe",
    "cpu-moe",
    "n-cpu-ffn",
    "override-tensor",
    "cache-type-k",
    "cache-type-v",
    "flash-attn",
    "batch-size",
    "ubatch-size",
    "swa-full",
    "no-kv-offload",
    "no-op-offload",
)


class JudgeProblem(Problem):
    """The judge cannot be asked, or what it said is no answer."""


@dataclass(frozen=True)
class Held:
    """MiB of one device."""

    weights: int
    kv: int
    compute: int

    @property
    def total(self) -> int:
        return self.weights + self.kv + self.compute

    def as_facts(self) -> Dict[str, int]:
        return {"weights_mib": self.weights, "kv_mib": self.kv, "compute_mib": self.compute}


@dataclass(frozen=True)
class Answer:
    """What llama-fit-params printed: its GPUs by name, in its order, and the host."""

    devices: Tuple[Tuple[str, Held], ...]
    host: Held

    @property
    def backend(self) -> str:
        """CUDA, RPC, ...; empty where it sees no GPU."""
        return re.sub(r"[^A-Za-z].*", "", self.devices[0][0]) if self.devices else ""


@dataclass(frozen=True)
class Said:
    """An answer, by which build it was given and whether the real backend of the GPUs gave it."""

    answer: Answer
    build: str
    real: bool


def read_answer(output: bytes) -> Answer:
    """The devices among the lines that the program printed; everything else there is left alone."""
    found: Dict[str, Held] = {}
    for line in output.split(b"\n"):
        match = _LINE.fullmatch(line)
        if not match:
            continue
        name = match[1].decode("ascii")
        if name in found or len(found) > MAX_DEVICES:
            raise JudgeProblem("llama-fit-params lists a device twice, or too many.", "Look at its output by hand.")
        found[name] = Held(*(int(match[number]) for number in (2, 3, 4)))
    host = found.pop(HOST, None)
    if host is None:
        raise JudgeProblem(
            "llama-fit-params printed no memory of the host.", "It may be too old: builds from 2026 know --fit-print."
        )
    return Answer(tuple(found.items()), host)


def arguments(plan: Mapping[str, Any], parameters: Mapping[str, Any]) -> List[str]:
    """The settings of a planned llama-server that decide about memory; the plan has read the declared ones already."""
    declared = {str(name).lstrip("-").replace("_", "-"): value for name, value in parameters.items()}
    settings = {**declared, **plan["llama_cpp"]["parameters"]}
    words: List[str] = []
    for name in _MEMORY:
        value = settings.get(name)
        if value is None or value is False or value == "":
            continue
        if isinstance(value, bool):
            words += [f"--{name}", "on"] if name == "flash-attn" else [f"--{name}"]
        elif isinstance(value, (list, tuple)):
            words += [f"--{name}", ",".join(map(str, value))]
        else:
            words += [f"--{name}", str(value)]
    return words


# Declared, they are somebody's choice of what lies where.
_PLACING = ("n-gpu-layers", "gpu-layers", "tensor-split", "n-cpu-moe", "cpu-moe", "n-cpu-ffn", "override-tensor")


def whole(plan: Mapping[str, Any], parameters: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    """The plan with everything on its GPUs, where it leaves a part in RAM and nobody has asked for that."""
    declared = {str(name).lstrip("-").replace("_", "-") for name in parameters}
    gpus = used_gpus(plan)
    if plan["mode"] not in ("some_layers", "experts_on_host") or not gpus or declared.intersection(_PLACING):
        return None
    own = {name: value for name, value in plan["llama_cpp"]["parameters"].items() if name != "n-cpu-moe"}
    own["n-gpu-layers"] = plan["layers_total"]
    if len(gpus) > 1:
        own["tensor-split"] = ",".join(str(max(gpu["usable_mib"] // 1024, 1)) for gpu in gpus)
    return {**plan, "llama_cpp": {**plan["llama_cpp"], "parameters": own}}


def fits_whole(plan: Mapping[str, Any], bigger: Mapping[str, Any], said: Said) -> Dict[str, Any]:
    """The judged plan, with how all of it fits on the GPUs where the engine says that it does."""
    rows = zip(used_gpus(plan), said.answer.devices)
    if any(held.total + gpu["overhead_mib"] > gpu["usable_mib"] for gpu, (_name, held) in rows):
        return dict(plan)
    own = bigger["llama_cpp"]["parameters"]
    chosen = ", ".join(f"{name}: {own[name]}" for name in ("n-gpu-layers", "tensor-split") if name in own)
    words = f"By llama-fit-params all of it fits on the GPUs. To have that, declare {chosen}."
    judge = {**plan["judge"], "said": f"{plan['judge']['said']} {words}"}
    return {**plan, "warnings": [*plan["warnings"], words], "judge": judge}


def used_gpus(plan: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """The GPUs that the engine will see, in its order."""
    return [gpu for gpu in plan["per_device"] if gpu["layers"]]


def judged(plan: Mapping[str, Any], said: Said) -> Dict[str, Any]:
    """The plan with the engine's numbers beside its own, decided by them, and with what differs said."""
    gpus = used_gpus(plan)
    if len(said.answer.devices) != len(gpus):
        raise JudgeProblem(
            f"llama-fit-params sees {len(said.answer.devices)} GPUs, and the plan uses {len(gpus)}.",
            "The engine may have no backend for these cards: run llama-server --list-devices there.",
        )
    rows = [_device_row(gpu, held, said.real) for gpu, (_name, held) in zip(gpus, said.answer.devices)]
    host = _host_row(plan["host"], said.answer.host, said.real)
    differences = [text for row in (*rows, host) for text in _differences(row, said.real)]
    title = f"llama-fit-params (build {said.build}, {said.answer.backend or 'CPU'})"
    facts = {
        "build": said.build,
        "backend": said.answer.backend,
        "decides": ["weights", "kv", "compute"] if said.real else ["weights", "kv"],
        "per_device": [_shown(row) for row in rows],
        "host": _shown(host),
        "differences": differences,
        "problem": None,
        "said": " ".join([f"Checked by {title}.", *differences]),
    }
    found = {
        **plan,
        **_verdict(plan, rows, host, title),
        "warnings": [*plan["warnings"], *(f"{title}: {text}" for text in differences)],
        "certainty": _certainty(plan["certainty"], said.real),
        "judge": facts,
        "table": [*plan["table"], *_lines(rows, host, title)],
    }
    return {**found, "refusal": refusal(found)}


def not_judged(plan: Mapping[str, Any], problem: str) -> Dict[str, Any]:
    """The plan as it was, and why the engine did not speak; plans of other engines are not its to judge."""
    if plan.get("engine") != LLAMA_CPP:
        return dict(plan)
    problem = printable(problem)
    said = f"Not checked by llama-fit-params: {problem}"
    facts: Dict[str, Any] = {"build": None, "backend": None, "decides": [], "per_device": [], "host": None}
    return {
        **plan,
        "warnings": [*plan["warnings"], said],
        "judge": {**facts, "differences": [], "problem": problem, "said": said},
    }


@dataclass(frozen=True)
class _Row:
    label: str
    ours: Held
    theirs: Held
    beside_mib: int  # of what the engine does not count: CUDA's context, and its working memory through stand-ins
    room_mib: Optional[int]  # None: not known

    @property
    def needed_mib(self) -> int:
        return self.theirs.weights + self.theirs.kv + self.beside_mib

    @property
    def spare_mib(self) -> Optional[int]:
        return None if self.room_mib is None else self.room_mib - self.needed_mib


def _device_row(gpu: Mapping[str, Any], theirs: Held, real: bool) -> _Row:
    compute = gpu["compute_mib"] + gpu["copy_mib"]
    ours = Held(gpu["dense_mib"] + gpu["experts_mib"], gpu["kv_mib"], compute)
    beside = gpu["overhead_mib"] + (theirs.compute if real else _with_margin(compute, gpu))
    label = " ".join(str(word) for word in (gpu["host"], "GPU", gpu["index"]) if word != "")
    return _Row(label, ours, theirs, beside, gpu["usable_mib"])


def _host_row(host: Mapping[str, Any], theirs: Held, real: bool) -> _Row:
    ours = Held(host["dense_mib"] + host["experts_mib"], host["kv_mib"], host["compute_mib"])
    beside = theirs.compute if real else _with_margin(ours.compute, host)
    return _Row("RAM", ours, theirs, beside, host["ram_mib"])


def _with_margin(compute_mib: int, device: Mapping[str, Any]) -> int:
    """Our own working memory, with what the plan adds to it where it is estimated."""
    return compute_mib + (compute_mib * COMPUTE_MARGIN // 100 if device["margin_mib"] else 0)


def _verdict(plan: Mapping[str, Any], rows: Sequence[_Row], host: _Row, title: str) -> Dict[str, Any]:
    """Whether it fits, where that changes by what the engine said."""
    over = [row for row in (*rows, host) if row.spare_mib is not None and row.spare_mib < 0]
    if over:
        worst = min(over, key=lambda row: row.spare_mib or 0)
        reason = (
            f"By {title}, {worst.label} lacks {-(worst.spare_mib or 0):,} MiB: weights {worst.theirs.weights:,}, "
            f"KV cache {worst.theirs.kv:,}, working memory and CUDA {worst.beside_mib:,} of {worst.room_mib:,} MiB."
        )
        return {"fits": False, "mode": "none", "reason": reason}
    if not plan["fits"] and _lacked_memory(plan):
        return {"fits": True, "mode": _mode(plan), "reason": f"By {title} it fits as it is.", "nearest": None}
    return {}


def _lacked_memory(plan: Mapping[str, Any]) -> bool:
    """Whether memory was why it does not fit: other reasons are not the engine's to judge."""
    host = plan["host"]
    ram_over = host["ram_mib"] is not None and host["total_mib"] > host["ram_mib"]
    return ram_over or any(gpu["spare_mib"] < 0 for gpu in plan["per_device"])


def _mode(plan: Mapping[str, Any]) -> str:
    if plan["layers_on_gpu"] < plan["layers_total"]:
        return "some_layers"
    return "experts_on_host" if plan["host"]["experts_mib"] else "full"


def _certainty(certainty: Mapping[str, Any], real: bool) -> Dict[str, Any]:
    spoken = PARTS if real else ("weights", "kv")
    parts = {part: EXACT if part in spoken else certainty[part] for part in PARTS}
    return told(parts, () if real else certainty["because"])


def _differences(row: _Row, real: bool) -> List[str]:
    pairs = [("weights", row.ours.weights, row.theirs.weights), ("KV cache", row.ours.kv, row.theirs.kv)]
    if real:
        pairs.append(("all together", row.ours.total, row.theirs.total))
    return [
        f"{row.label}: {name} {theirs:,} MiB, {ours:,} MiB planned."
        for name, ours, theirs in pairs
        if abs(theirs - ours) > max(ROUNDING_MIB, TOLERANCE * theirs)
    ]


def _shown(row: _Row) -> Dict[str, Any]:
    return {**row.theirs.as_facts(), "needed_mib": row.needed_mib, "spare_mib": row.spare_mib}


def _lines(rows: Sequence[_Row], host: _Row, title: str) -> List[str]:
    found = [f"By {title}, in MiB:"]
    for row in (*rows, host):
        spare = "" if row.spare_mib is None else f", spare {row.spare_mib:,}"
        held = f"weights {row.theirs.weights:,}, KV {row.theirs.kv:,}, working memory {row.theirs.compute:,}"
        found.append(f"  {row.label}: {held}; needed {row.needed_mib:,}{spare}")
    return found
