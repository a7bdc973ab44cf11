# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.rehearsal import rehearsal_lines

MIB = 1 << 20


def gpu(index: int, used_mib: Optional[int]) -> dict[str, Any]:
    used_bytes = None if used_mib is None else used_mib * MIB
    return {"index": index, "uuid": f"GPU-{index}", "memory_used_bytes": used_bytes}


def row(before: list[dict[str, Any]], during: list[dict[str, Any]], planned: list[int], error: str = "") -> Any:
    per_device = [{"index": index, "uuid": f"GPU-{index}", "total_mib": mib} for index, mib in enumerate(planned)]
    return {"model": "r1", "error": error, "plan": {"per_device": per_device}, "before": before, "during": during}


def test_each_card_shows_what_was_taken_since_before_beside_its_plan() -> None:
    seen = row([gpu(0, 500), gpu(1, 0)], [gpu(0, 29500), gpu(1, 31000)], [30000, 30500])
    assert rehearsal_lines({"h20-01": [seen]}) == [
        "h20-01:",
        "  r1: loaded, and made a token.",
        "      GPU 0: 29,000 MiB taken, 30,000 MiB planned with its margin.",
        "      GPU 1: 31,000 MiB taken, 30,500 MiB planned with its margin, 500 MiB MORE than planned.",
    ]


def test_memory_on_a_card_that_was_not_planned_is_told() -> None:
    lines = rehearsal_lines({"h": [row([gpu(0, 0), gpu(1, 0)], [gpu(0, 100), gpu(1, 900)], [200])]})
    assert lines[-1].strip() == "GPU 1: 900 MiB taken where none were planned."


def test_a_driver_that_does_not_tell_makes_no_number() -> None:
    lines = rehearsal_lines({"h": [row([gpu(0, None)], [gpu(0, None)], [200])]})
    assert lines[-1].strip() == "GPU 0: 200 MiB planned; the driver does not say what is used."


def test_a_failure_shows_its_reason_and_a_host_without_gpus_says_so() -> None:
    failed = row([], [], [], error="CUDA error: out of memory")
    assert rehearsal_lines({"h": [failed]})[-1] == "  r1: FAILED: CUDA error: out of memory"
    assert rehearsal_lines({"h": [{**row([], [], []), "plan": {}}]})[-1].strip().startswith("No GPU was seen")
