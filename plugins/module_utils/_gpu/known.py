# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What is known of a declared model before it is fetched: its lock's header facts, else the catalog's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError

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


def requests(
    models: Sequence[Mapping[str, Any]], catalog: Mapping[str, Any], locks: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The declared models whose size is known, for host_preflight: the others wait until they are resolved."""
    return [
        {"name": model["name"], "engine": model["engine"], "parameters": model["parameters"], "gguf": facts}
        for model, facts in _with_facts(models, catalog, locks)
    ]


def _with_facts(
    models: Sequence[Mapping[str, Any]], catalog: Mapping[str, Any], locks: Mapping[str, Any]
) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    for model in models:
        try:
            yield model, known_facts(model, catalog, locks)
        except GpuError:
            continue


def candidates(
    models: Sequence[Mapping[str, Any]], catalog: Mapping[str, Any], locks: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """The quants of declared models for gguf_plan, by lock name.

    That is the one that is declared or was chosen before; else the catalog's whose size is known, the best first.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for model in models:
        lock_name, source = model["lock_name"], model["source"]
        if lock_name in locks or not model["candidates"]:
            quant = (locks.get(lock_name) or {}).get("quant") or source["quant"] or model["name"]
            found[lock_name] = [{"quant": quant, "gguf": known_facts(model, catalog, locks)}]
            continue
        each = [
            {**model, "lock_name": f"{source['repo']}:{quant}", "source": {**source, "quant": quant}}
            for quant in model["candidates"]
        ]
        known = list(_with_facts(each, catalog, locks))
        found[lock_name] = [{"quant": one["source"]["quant"], "gguf": facts} for one, facts in known]
        if not known:
            known_facts(model, catalog, locks)  # says what is missing
    return found
