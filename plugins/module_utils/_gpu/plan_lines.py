# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The plans of a fleet as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.certainty import is_known
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable


def report_lines(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Results of gguf_plan, one for each C(item.name), as text: hosts with the same plan are told once."""
    report: list[str] = []
    for result in results:
        name, quant = result["item"]["name"], result["quant"]
        if len(result["item"]["candidates"]) > 1:
            full = all(plan["mode"] == "full" for plan in result["plans"].values())
            verdict = "Best quant for every host" if full else "No quant fits completely on every host; the smallest"
            report += [f"{name}: {verdict}: {quant}", ""]
        same: dict[str, list[str]] = {}
        for host, plan in result["plans"].items():
            same.setdefault("\n".join(_lines(f"{name} {quant}", plan)), []).append(host)
        for text, hosts in same.items():
            report += [f"{', '.join(hosts)}:", *text.split("\n"), ""]
        for host, instances in result.get("instances", {}).items():
            on_cards = [f"  {one['name']} on GPU {', '.join(one['gpus'])}" for one in instances]
            report += [f"{host}, {len(instances)} × {name}, each on cards of its own:", *on_cards, ""]
        for host, together in result.get("together", {}).items():
            said = [f"  DOES NOT FIT TOGETHER, and site.yml refuses it. {refusal}" for refusal in together["refusals"]]
            said += [f"  Note: {warning}" for warning in together["warnings"]]
            report += [f"{host}, all models together:", *said, ""] if said else []
        if "across" in result:
            report += [*_across_lines(name, result["across"]), ""]
    # What a header says of its model is part of them.
    return [printable(line) for line in report[:-1]]


def placement_lines(placements: Mapping[str, Mapping[str, Any]], host: str) -> list[str]:
    """Where each model of a host goes, and how sure that is, by the plans of its models by name."""
    lines: list[str] = []
    for name, plan in placements.items():
        said = (plan.get("judge") or {}).get("said") or ""
        lines += [f"{host}: {name}: {plan['reason']} {said}".rstrip(), *_certainty_lines(plan)]
    return [printable(line) for line in lines]


def _lines(name: str, plan: Mapping[str, Any]) -> list[str]:
    verdict = _verdict(plan)
    lines = [f"  {name}, num_ctx {plan['num_ctx']} × {plan['num_parallel']}: {verdict}. {plan['reason']}"]
    if plan["nearest"]:
        lines.append(f"  {plan['nearest']}")
    lines += [f"  {line}" for line in plan["table"]]
    lines += _certainty_lines(plan)
    if plan["fits"]:
        numbers = plan[plan["engine"]]
        settings = [f"{key}={value}" for key, value in (numbers.get("parameters") or {}).items()]
        settings += [f"{key}={value}" for key, value in (numbers.get("environment") or {}).items()]
        lines.append(f"  {plan['engine']}: {' '.join(settings)}")
        fewest = plan["fewest_gpus"]
        lines.append(
            f"  Fewest GPUs for the whole model: {'more than there are' if fewest is None else fewest}. "
            f"Largest context with this layout: {plan['largest_num_ctx']:,} tokens a slot."
        )
    lines += [f"  Note: {warning}" for warning in plan["warnings"]]
    return lines


def _verdict(plan: Mapping[str, Any]) -> str:
    if not is_known(plan["certainty"]):
        return "NOT KNOWN TO FIT"
    return "fits" if plan["fits"] else "DOES NOT FIT"


def _certainty_lines(plan: Mapping[str, Any]) -> list[str]:
    certainty = plan["certainty"]
    return [f"  How sure: {certainty['summary']}.", *(f"    {sentence}" for sentence in certainty["because"])]


def _across_lines(name: str, plan: Mapping[str, Any]) -> list[str]:
    """A model over the GPUs of several hosts: the table, and what runs on each host."""
    if not plan["fits"]:
        return [f"Over the GPUs of all hosts together (llama.cpp RPC): {name} DOES NOT FIT. {plan['reason']}"]
    head, workers = plan["llama_cpp"]["head"], plan["llama_cpp"]["workers"]
    hosts = ", ".join([head["host"], *(worker["host"] for worker in workers)])
    lines = [
        f"Over the GPUs of {hosts} together (llama.cpp RPC):",
        f"  {name} {plan['quant']}, num_ctx {plan['num_ctx']} × {plan['num_parallel']}: {_verdict(plan)}. "
        f"{plan['reason']}",
    ]
    lines += [f"  {line}" for line in plan["table"]]
    lines += _certainty_lines(plan)
    for part in (*workers, head):
        settings = " ".join(f"{key}={value}" for key, value in part["environment"].items())
        lines.append(f"  {part['host']}: {settings} {part['program']} {' '.join(part['arguments'])}")
    return lines + [f"  Note: {warning}" for warning in plan["warnings"]]
