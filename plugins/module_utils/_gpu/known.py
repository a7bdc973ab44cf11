# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What is known of a declared model before it is fetched: its lock's header facts, else the catalog's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import MIB, GpuError

GIB = 1024**3


def known_facts(model: Mapping[str, Any], catalog: Mapping[str, Any], locks: Mapping[str, Any]) -> dict[str, Any]:
    """Facts for gguf_plan.

    :param model: a declared model, with C(name), C(lock_name) and C(source).
    :param catalog: the catalog's entries by name.
    :param locks: locks by lock name.
    """
    locked = (locks.get(model["lock_name"]) or {}).get("gguf")
    if locked:
        return dict(locked)
    source = model["source"]
    for entry in catalog.values():
        quant = (entry.get("quants") or {}).get(source.get("quant"))
        if quant is not None and entry.get("repo") == source.get("repo") and entry.get("facts"):
            size = quant.get("size_gib") or quant.get("published_gb")
            if size:
                # Publishers write GB and mean GiB: 131 GB is 130.60 GiB.
                name = f"{entry['repo'].rpartition('/')[2]} {source['quant']}"
                return {**entry["facts"], "name": name, "size_bytes": int(size * GIB)}
    raise GpuError(
        f"The size of {model['name']} ({model['lock_name']}) is not known: it has no lock, and the catalog tells none.",
        "Resolve it (gguf_resolve reads the headers only), or plan it by gguf_plan with facts of your own.",
    )


def candidates(model: Mapping[str, Any], catalog: Mapping[str, Any], locks: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The quants of a declared model's catalog entry whose size is known, the best first, for gguf_plan."""
    found = []
    for entry in catalog.values():
        if entry.get("repo") != model["source"].get("repo"):
            continue
        for quant in entry.get("quants") or {}:
            source = {**model["source"], "quant": quant}
            other = {"name": model["name"], "lock_name": f"{entry['repo']}:{quant}", "source": source}
            try:
                found.append({"quant": quant, "gguf": known_facts(other, catalog, locks)})
            except GpuError:
                continue
    return found


def report_lines(plans: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """The plans of a fleet (host, then model) as text: hosts with the same plan are told once."""
    same: dict[str, list[str]] = {}
    texts: dict[str, list[str]] = {}
    for host, models in plans.items():
        for model, plan in models.items():
            lines = _lines(model, plan)
            key = "\n".join(lines)
            same.setdefault(key, []).append(host)
            texts[key] = lines
    report: list[str] = []
    for key, hosts in same.items():
        report += [f"{', '.join(hosts)}:", *texts[key], ""]
    return report[:-1]


def _lines(name: str, plan: Mapping[str, Any]) -> list[str]:
    verdict = "fits" if plan["fits"] else "DOES NOT FIT"
    lines = [f"  {name}, num_ctx {plan['num_ctx']} × {plan['num_parallel']}: {verdict}. {plan['reason']}"]
    if plan["nearest"]:
        lines.append(f"  {plan['nearest']}")
    lines += [f"  {line}" for line in plan["table"]]
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


def trial_lines(hosts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """What min_gpus.yml saw, plan beside reality: a line a number of GPUs."""
    lines = []
    for host, rows in hosts.items():
        lines.append(f"{host}:")
        for row in rows:
            speed = row["tokens_per_second"]
            seen = (
                f"answered, {speed:.1f} tokens/s"
                if row["answered"] and speed
                else "answered"
                if row["answered"]
                else "FAILED"
            )
            used = [used_bytes / MIB for used_bytes in row["used_bytes"]]
            memory = f"{_range(used)} MiB a card, planned {_range(row['planned_mib'])}"
            lines.append(
                f"  {row['gpus']:>2} GPUs: {seen}; {memory} ({'fits' if row['plan_fits'] else 'does not fit'})"
            )
            if row["error"]:
                lines.append(f"      {row['error']}")
        good = [row["gpus"] for row in rows if row["answered"]]
        lines.append(f"  Fewest GPUs that answered: {min(good) if good else 'none'}.")
    return lines


def _range(numbers: Sequence[float]) -> str:
    if not numbers:
        return "?"
    low, high = f"{min(numbers):,.0f}", f"{max(numbers):,.0f}"
    return low if low == high else f"{low} to {high}"
