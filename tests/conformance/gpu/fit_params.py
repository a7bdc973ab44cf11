# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real llama-fit-params as judge of the memory model: cases, how to ask it, how to ask us.

Several devices without a GPU: loopback RPC servers appear as RPC0, RPC1, ... and are accounted one by one. They neither
fetch the host's matrices nor hold a CUDA context, so the plan is asked for the same (`cuda=False`).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import Device
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.engines import rules_for
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.memory import Load
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import Model, model_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.placement import lay_out
from ansible_collections.gguf.fleet.tests.builders import models
from ansible_collections.gguf.fleet.tests.conformance.gpu import families

MIB = 1024 * 1024
FIRST_PORT = 50051

MODELS: dict[str, Callable[[], models.Model]] = {
    "llama3-70b": models.llama3_70b,
    "qwen3-30b": models.qwen3_moe_30b,
    "gemma3-27b": models.gemma3_27b,
}
MODELS.update({name: partial(families.family, name) for name in families.entries()})
for quant in models.R1_EXPERTS:
    MODELS[f"r1-{quant}"] = partial(models.deepseek_r1, quant)
    MODELS[f"r1-{quant}-mla"] = partial(models.deepseek_r1, quant, mla=True)


@dataclass(frozen=True)
class Case:
    model: str
    num_ctx: int = 8192
    slots: int = 1
    split: tuple[int, ...] = ()  # one number for each device
    ngl: Optional[int] = None  # None: all
    flash: bool = True
    kv: str = "f16"
    batch: int = 512
    host_experts: int = 0

    def __str__(self) -> str:
        words = [self.model, f"c{self.num_ctx}"]
        words += [f"np{self.slots}"] * (self.slots > 1) + [f"{len(self.split)}dev"]
        words += [f"ts{'-'.join(map(str, self.split))}"] * (len(set(self.split)) > 1)
        words += [f"ngl{self.ngl}"] * (self.ngl is not None) + ["nofa"] * (not self.flash)
        words += [self.kv] * (self.kv != "f16") + [f"ub{self.batch}"] * (self.batch != 512)
        return "-".join(words + [f"moe{self.host_experts}"] * bool(self.host_experts))

    @property
    def arguments(self) -> list[str]:
        arguments = ["-m", f"{self.model}.gguf", "-c", str(self.num_ctx * self.slots), "-np", str(self.slots)]
        arguments += ["-fa", "on" if self.flash else "off", "-ub", str(self.batch), "-ctk", self.kv, "-ctv", self.kv]
        if self.split:
            servers = ",".join(f"127.0.0.1:{FIRST_PORT + number}" for number in range(len(self.split)))
            arguments += ["--rpc", servers, "-ngl", str(999 if self.ngl is None else self.ngl)]
            arguments += ["-ts", ",".join(map(str, self.split))]
        if self.host_experts:
            arguments += ["--n-cpu-moe", str(self.host_experts)]
        return arguments


R1 = ("r1-IQ1_S", "r1-Q2_K_XL")
OTHERS = ("llama3-70b", "qwen3-30b", "gemma3-27b")
FIRST = tuple(name for name in MODELS if name not in families.entries())
CASES: tuple[Case, ...] = (
    *(Case(model) for model in FIRST),
    *(Case(model, split=(1,)) for model in FIRST),
    *(Case(model, split=(1, 1)) for model in FIRST),
    *(Case(model, split=(2, 3, 1), num_ctx=16384) for model in (*R1, "r1-Q2_K_XL-mla", *OTHERS)),
    *(Case(model, split=(1, 1, 1), num_ctx=2048, flash=False) for model in (*R1, "r1-IQ1_S-mla", *OTHERS)),
    *(Case(model, split=(1, 1), num_ctx=4096, slots=4) for model in (*R1, "r1-IQ1_S-mla", *OTHERS)),
    *(Case(model, split=(1, 1), ngl=30, num_ctx=4096) for model in (*R1, "r1-IQ1_S-mla", *OTHERS)),
    *(Case(model, split=(1,), ngl=20, flash=False) for model in (*R1, *OTHERS)),
    *(Case(model, split=(1, 1), host_experts=20) for model in (*R1, "r1-IQ2_XXS-mla", "qwen3-30b")),
    *(Case(model, split=(1, 1), kv="q8_0", num_ctx=32768) for model in ("r1-IQ1_M-mla", *OTHERS)),
    *(Case(model, split=(1, 1), batch=256) for model in ("r1-IQ1_S-mla", *OTHERS)),
    *(Case(model, split=(1, 1), host_experts=20, num_ctx=2048, flash=False) for model in ("r1-IQ1_S", "qwen3-30b")),
    *(Case(model, split=(1,), host_experts=61, num_ctx=65536) for model in ("r1-IQ1_S-mla", "qwen3-30b")),
    *(Case(model, split=(1,), host_experts=40, num_ctx=4096, flash=False) for model in ("r1-IQ1_S", "qwen3-30b")),
    *(Case(model, split=(1, 1), host_experts=61, num_ctx=32768, slots=2) for model in ("r1-IQ1_S-mla", "qwen3-30b")),
    *(Case(model, flash=False, num_ctx=4096) for model in (*R1, "r1-IQ1_S-mla", *OTHERS)),
    *(Case(model, split=(1, 1), flash=False, num_ctx=16384, slots=2) for model in (*R1, *OTHERS)),
    *(Case(model, split=(2, 1), ngl=40, flash=False, num_ctx=2048) for model in (*R1, "r1-IQ1_S-mla", *OTHERS)),
    Case("r1-IQ1_M", num_ctx=2048, split=(7, 7), ngl=14),
    Case("r1-IQ1_M", num_ctx=2048, split=(7, 7), ngl=14, flash=False),
    Case("llama3-70b", num_ctx=131072, split=(3, 2, 2, 1), kv="q8_0"),
    Case("gemma3-27b", num_ctx=65536, split=(1, 2)),
)


# Tokens of a slot, slots, type of the KV cache.
CONTEXTS = ((4096, 1, "f16"), (8192, 4, "f16"), (131072, 1, "q8_0"))


def family_cases(name: str) -> list[list[Case]]:
    """For each way to place a model, the cases with each context."""
    dimensions = families.entries()[name]["dimensions"]
    layers = dimensions["layers"]
    places: list[dict[str, Any]] = [{}, {"split": (1, 1)}, {"split": (1, 1), "ngl": layers // 2}]
    if "x" in dimensions:
        places.append({"split": (1, 1), "host_experts": layers})
    return [[Case(name, context, slots, kv=kv, **place) for context, slots, kv in CONTEXTS] for place in places]


# Each family in each place, with contexts in turn; all of them take minutes.
FAMILY_CASES = tuple(
    cases[(number + place) % len(cases)]
    for number, name in enumerate(families.entries())
    for place, cases in enumerate(family_cases(name))
)
ALL_FAMILY_CASES = tuple(case for name in families.entries() for cases in family_cases(name) for case in cases)


@dataclass(frozen=True)
class Numbers:
    """MiB of one device."""

    weights: float
    kv: float
    compute: float


def ask_llama_cpp(judge: Any, folder: Path, cases: Sequence[Case]) -> dict[Case, dict[str, Numbers]]:
    for name in sorted({case.model for case in cases}):
        MODELS[name]().write(folder / f"{name}.gguf")
    servers = [("127.0.0.1", FIRST_PORT + number) for number in range(max(len(case.split) for case in cases))]
    answers = fit_params(judge, folder, servers, [case.arguments for case in cases])
    for case, answer in zip(cases, answers):
        assert len(answer) == len(case.split) + 1, f"{case}: llama-fit-params said {answer}"
    return dict(zip(cases, answers))


def fit_params(
    judge: Any, folder: Path, servers: Sequence[tuple[str, int]], questions: Sequence[Sequence[str]]
) -> list[dict[str, Numbers]]:
    """One container, all questions: llama-fit-params takes a tenth of a second each."""
    rpc = "/usr/libexec/*/llama/bin/ggml-rpc-server"
    lines = [f"{rpc} -H {address} -p {port} >/dev/null 2>&1 &" for address, port in servers]
    # The servers answer within milliseconds; the first question would fail without.
    lines.append("sleep 1")
    for question in questions:
        lines.append("echo CASE; llama-fit-params --no-repack -fitp on " + shlex.join(question) + " 2>&1 | tail -n 20")
    done = judge(["sh", "-c", "\n".join(lines)], cwd=folder)
    answers = done.stdout.split("CASE\n")[1:]
    assert len(answers) == len(questions), done.stdout + done.stderr
    return [_numbers(answer) for answer in answers]


def _numbers(answer: str) -> dict[str, Numbers]:
    found = {}
    for line in answer.splitlines():
        words = line.split()
        if len(words) == 4 and all(word.isdigit() for word in words[1:]):
            found[words[0]] = Numbers(*map(float, words[1:]))
    assert found, f"llama-fit-params said {answer}"
    return found


@cache
def model_of(name: str) -> Model:
    return model_from_facts(MODELS[name]().facts())


def ask_plan(case: Case) -> dict[str, Numbers]:
    load = Load(
        num_ctx=case.num_ctx,
        num_parallel=case.slots,
        key_type=case.kv,
        value_type=case.kv,
        flash_attention=case.flash,
        batch=case.batch,
    )
    layout = lay_out(
        model_of(case.model),
        [Device(number, None, "RPC", 1 << 50) for number in range(len(case.split))],
        load,
        rules_for("llama_cpp", None),
        ngl=case.ngl,
        host_experts=case.host_experts,
        split=case.split,
        cuda=False,
    )
    shares = {f"RPC{number}": share for number, share in enumerate(layout.shares)}
    return {
        name: Numbers((share.dense_bytes + share.experts_bytes) / MIB, share.kv_bytes / MIB, share.compute_bytes / MIB)
        for name, share in {**shares, "Host": layout.host}.items()
    }
