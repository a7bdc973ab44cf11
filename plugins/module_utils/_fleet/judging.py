# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Results of gguf_plan as questions for gguf_judge, and its answers in their place."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping

LLAMA_CPP = "llama_cpp"
_ACROSS = "{}//across"  # what a host is called never begins with a slash


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
        # Piece checksums are the largest part of a lock, and no part of the question.
        known = {key: value for key, value in lock.items() if key != "seal"} if lock else None
        found += [
            {"name": name, "plan": plan, "parameters": dict(asked["parameters"] or {}), "lock": known}
            for name, asked, plan in each
            if asked["engine"] == LLAMA_CPP
        ]
        if "across" in result and result["across"]["fits"]:
            parameters = dict(item["hosts"][0]["parameters"] or {}) if item["hosts"][0]["engine"] == LLAMA_CPP else {}
            plan = _as_one_host(result["across"])
            found.append({"name": _ACROSS.format(item["name"]), "plan": plan, "parameters": parameters, "lock": known})
    return found


def _as_one_host(across: Mapping[str, Any]) -> Dict[str, Any]:
    """The plan over several hosts as that of one with all of their GPUs, in the order of the head's -ts."""
    own = {name: value for name, value in across["llama_cpp"]["head"]["parameters"].items() if name != "rpc"}
    return {**across, "llama_cpp": {"parameters": own, "environment": {}}}


def plans_judged(planned: Iterable[Mapping[str, Any]], judged: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Results of gguf_plan over groups of hosts, with the plans that gguf_judge returned in their place."""
    found = []
    for result in planned:
        name = result["item"]["name"]
        plans = {host: judged.get(f"{name}/{host}", plan) for host, plan in result["plans"].items()}
        more = {}
        if _ACROSS.format(name) in judged:
            more["across"] = {**judged[_ACROSS.format(name)], "llama_cpp": result["across"]["llama_cpp"]}
        found.append({**result, "plans": plans, **more})
    return found


def placed(planned: Mapping[str, Any], judged: Mapping[str, Any]) -> Dict[str, Any]:
    """The plan of a host (:func:`plan_together`) with the plans that gguf_judge returned in their place.

    :param judged: the result of gguf_judge; one without C(plans) changes nothing.
    """
    return {**planned, "plans": {**planned["plans"], **(judged.get("plans") or {})}}
