# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench-plan`: the memory model beside llama-fit-params, device by device, and how long plans take."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401 -- makes the checkout importable as the collection

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import devices_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import PlanRequest, make_plan
from ansible_collections.gguf.fleet.tests.conformance.gpu.fit_params import (
    ALL_FAMILY_CASES,
    CASES,
    ask_llama_cpp,
    ask_plan,
    model_of,
)
from ansible_collections.gguf.fleet.tests.fixtures_assets import program_in

TERMS = ("weights", "kv", "compute")


def accuracy() -> None:
    """A line a family: how far the plan is off at most, over all places and contexts. --cases prints each device."""
    cases = (*CASES, *ALL_FAMILY_CASES)
    with tempfile.TemporaryDirectory() as folder:
        real = ask_llama_cpp(program_in("judge"), Path(folder), cases)
    print(f"{'MiB, plan - llama.cpp':32}{'cases':>6}" + "".join(f"{term:>22}" for term in TERMS))
    for name in sorted({case.model for case in cases}):
        own = [case for case in cases if case.model == name]
        worst = dict.fromkeys(TERMS, (0.0, 0.0))
        for case in own:
            planned = ask_plan(case)
            for device, numbers in real[case].items():
                cells = []
                for term in TERMS:
                    theirs, ours = getattr(numbers, term), getattr(planned[device], term)
                    error = (ours / theirs - 1) * 100 if theirs > 1 else 0.0
                    cells.append(f"{theirs:>8,.0f}/{ours:>8,.0f}{error:>+6.1f}%")
                    if abs(error) > abs(worst[term][1]):
                        worst[term] = (ours - theirs, error)
                if "--cases" in sys.argv:
                    print(f"  {str(case)[:42]:43}{device:7}" + "".join(cells))
        cells = [f"{size:>+13,.0f} {error:>+7.1f}%" for size, error in worst.values()]
        print(f"{name:32}{len(own):>6}" + "".join(cells))


def speed() -> None:
    gpus = devices_from_facts([{"name": "RTX 4090", "memory_total_mib": 24564, "count": 8}])
    for name in ("r1-Q2_K_XL", "r1-Q2_K_XL-mla", "llama3-70b", "qwen3-30b", "gemma3-27b", "deepseek-v4-flash"):
        model = model_of(name)
        for engine, version in (("ollama", "0.5.7"), ("ollama", None), ("llama_cpp", None)):
            times = []
            for _run in range(5):
                start = time.perf_counter()
                make_plan(model, gpus, PlanRequest(engine=engine, engine_version=version, num_ctx=8192)).as_facts()
                times.append(time.perf_counter() - start)
            print(f"plan of {name:16} {engine:10} {version or 'newest':8} {min(times) * 1000:6.1f} ms")


if __name__ == "__main__":
    accuracy()
    speed()
