# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans of a host's models as lines."""

from __future__ import annotations

from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan_lines import placement_lines


def plan(**more: Any) -> dict[str, Any]:
    certainty = {"summary": "weights exact", "because": ["CUDA's own memory is not measured."]}
    return {"reason": "All 61 blocks are on the GPUs.", "certainty": certainty, **more}


def test_each_model_says_where_it_goes_and_how_sure_that_is():
    judged = plan(judge={"said": "By llama-fit-params: \x1b[2Jthe same."})
    assert placement_lines({"r1": plan(), "v3": judged, "v4": plan(judge=None)}, "h20-01") == [
        "h20-01: r1: All 61 blocks are on the GPUs.",
        "  How sure: weights exact.",
        "    CUDA's own memory is not measured.",
        "h20-01: v3: All 61 blocks are on the GPUs. By llama-fit-params: \\x1b[2Jthe same.",
        "  How sure: weights exact.",
        "    CUDA's own memory is not measured.",
        "h20-01: v4: All 61 blocks are on the GPUs.",
        "  How sure: weights exact.",
        "    CUDA's own memory is not measured.",
    ]
