# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What the models of one Ollama server do to each other: it loads on demand and unloads what is in the way."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.demand import Books, Demand, chosen, listed
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import Device
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import FULL, make_plan

GB = 10**9
# Models beside each other are tried in every combination up to this number, in pairs above it.
_MOST_COMBINED = 6


def in_turns(books: Books, devices: Sequence[Device], demands: Sequence[Demand]) -> list[str]:
    """Which of a server's models can be in memory at the same time, if not all of them.

    Args:
        books: what the cards and the RAM have for them.
        devices: the cards of the host; each demand says which of them the server sees.
        demands: models that fit one at a time.
    """

    def beside(some: Sequence[Demand]) -> bool:
        loads = _loads(some)
        if _rivals(loads) or (some[0].at_once and len(loads) > some[0].at_once):
            return False
        own = books.copy()
        for demand in sorted(loads, key=lambda demand: -demand.model.size_bytes):
            seen = chosen(devices, demand.only, demand.name)
            plan = make_plan(demand.model, own.cards(seen), own.request(demand))
            # Ollama puts a second model beside a first one only where the cards hold it wholly.
            if not plan.fits or (seen and plan.mode != FULL):
                return False
            own.keep(plan)
        return True

    if len(demands) < 2 or beside(demands):
        return []
    sets: list[Sequence[Demand]] = []
    for size in range(len(demands) - 1 if len(demands) <= _MOST_COMBINED else 2, 1, -1):
        for some in itertools.combinations(demands, size):
            known = any(all(demand in larger for demand in some) for larger in sets)
            if not known and beside(some):
                sets.append(some)
    held = "; ".join(listed([demand.name for demand in some]) for some in sets)
    at_once = f"At the same time it holds {held}" if sets else "It holds one at a time"
    sizes = ", ".join(f"{demand.name} {demand.model.size_bytes / GB:,.1f} GB" for demand in demands)
    rivals = "".join(
        f" {one.name} and {other.name} are one file with other settings, which Ollama loads only once."
        for one, other in _rivals(_loads(demands))
    )
    return [
        f"Ollama cannot keep {listed([demand.name for demand in demands])} in memory together. {at_once}; a request "
        f"for another one unloads what is there, and its file is read again each time: {sizes}."
        f"{rivals}"
    ]


def _loads(demands: Sequence[Demand]) -> list[Demand]:
    """What is loaded for them: names of one file with the same settings share it."""
    found: dict[object, Demand] = {}
    for demand in demands:
        found.setdefault((demand.file, demand.request) if demand.file else demand.name, demand)
    return list(found.values())


def _rivals(loads: Sequence[Demand]) -> list[tuple[Demand, Demand]]:
    """Those that take each other's place: an Ollama holds a file once (needsReload in server/sched.go)."""
    pairs = itertools.combinations(loads, 2)
    return [(one, other) for one, other in pairs if one.file and one.file == other.file]
