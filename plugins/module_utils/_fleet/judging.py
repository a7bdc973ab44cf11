# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Results of gguf_plan as questions for gguf_judge, and its answers in their place."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping

LLAMA_CPP = "llama_cpp"


def plans_to_judge(planned: Iterable[Mapping[str, Any]], locks: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The plans of llama.cpp for gguf_judge, of gguf_plan in a loop over declared models, or over groups of hosts.

    :param planned: the loop's results. A group's plans are told apart by C(model/host).
    :param locks: locks by lock name.
    """
    found = []
    for result in planned:
        item = result["item"]
        if "hosts" in item:
            each = [(f"{item['name']}/{host['name']}", host, result["plans"][host["name"]]) for host in item["hosts"]]
        else:
            each = [(item["name"], item, result["plan"])]
        lock = locks.get(item["lock_name"])
        # Piece sums are the largest part of a lock, and no part of the question.
        known = {key: value for key, value in lock.items() if key != "seal"} if lock else None
        found += [
            {"name": name, "plan": plan, "parameters": dict(asked["parameters"] or {}), "lock": known}
            for name, asked, plan in each
            if asked["engine"] == LLAMA_CPP
        ]
    return found


def plans_judged(planned: Iterable[Mapping[str, Any]], judged: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Results of gguf_plan over groups of hosts, with the plans that gguf_judge returned in their place."""
    return [
        {
            **result,
            "plans": {
                host: judged.get(f"{result['item']['name']}/{host}", plan) for host, plan in result["plans"].items()
            },
        }
        for result in planned
    ]
