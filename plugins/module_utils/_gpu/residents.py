# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The models that share llama.cpp's cards: all of them are in memory all the time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.demand import (
    Books,
    Demand,
    chosen_of,
    listed,
    lost,
    none_is_left,
    sizes_text,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import Device
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import Plan, make_plan
from ansible_collections.gguf.fleet.plugins.module_utils._host.sizes import in_mib


def residents(
    books: Books,
    demands: Sequence[Demand],
    devices: Sequence[Device],
    cards: Sequence[Device],
) -> tuple[Sequence[Plan], Optional[str]]:
    """Plans for the models that share llama.cpp's cards, one beside the other, and why they do not fit together.

    In the order of declaration, so that a model that is added moves none of the others; the largest first where only
    that has room for all.
    """
    if not demands:
        return (), None
    alone = [make_plan(demand.model, chosen_of(devices, demand), books.request(demand)) for demand in demands]
    order = list(range(len(demands)))
    by_size = sorted(order, key=lambda number: -demands[number].model.size_bytes)
    first: Sequence[Plan] = ()
    for tried in (order, by_size):
        plans = _beside(books, demands, cards, tried)
        if not any(lost(plan, one) for plan, one in zip(plans, alone)):
            return plans, None
        first = first or plans
    worse = [plan for plan, one in zip(first, alone) if lost(plan, one)]
    return first, _together(books, demands, cards, worse[0])


def _beside(books: Books, demands: Sequence[Demand], cards: Sequence[Device], order: Sequence[int]) -> list[Plan]:
    own = books.copy()
    plans: dict[int, Plan] = {}
    for number in order:
        demand = demands[number]
        plans[number] = make_plan(demand.model, own.cards(chosen_of(cards, demand)), own.request(demand))
        own.keep(plans[number])
    return [plans[number] for number in range(len(demands))]


def _together(books: Books, demands: Sequence[Demand], cards: Sequence[Device], worse: Plan) -> str:
    """What is too little for all of them, in words."""
    ways = (
        "Serve fewer of them on this host, give each `gpus` of its own, take a smaller quant or context, or say with "
        "n-gpu-layers or n-cpu-moe what stays in RAM."
    )
    names = listed([demand.name for demand in demands])
    if not cards and books.left:
        return f"{none_is_left(demands)} {ways}"
    alone = [make_plan(demand.model, chosen_of(cards, demand), books.request(demand)) for demand in demands]
    held: dict[int, dict[str, int]] = {card.index: {} for card in cards}
    for demand, plan in zip(demands, alone):
        for share in plan.layout.shares:
            if share.layers and share.device is not None:
                held[share.device.index][demand.name] = share.total_bytes
    lack = {index: sum(sizes.values()) - books.left[index] for index, sizes in held.items()}
    worst = max(lack, key=lambda index: lack[index], default=None)
    why = f"{names} do not fit together: llama.cpp keeps all of them in memory"
    if worst is not None and len(held[worst]) > 1 and lack[worst] > 0:
        need = in_mib(sum(held[worst].values()))
        on_card = f"on GPU {worst} they need {need} of {in_mib(books.left[worst])} MiB ({sizes_text(held[worst])})"
        return f"{why}, and {on_card}. {ways}"
    ram = {demand.name: plan.layout.host.total_bytes for demand, plan in zip(demands, alone)}
    if books.ram_left is not None and len(ram) > 1 and sum(ram.values()) > books.ram_left:
        need = in_mib(sum(ram.values()))
        return f"{why}, and they need {need} of {in_mib(books.ram_left)} MiB of RAM ({sizes_text(ram)}). {ways}"
    verb = "do" if len(demands) > 1 else "does"
    return f"{names} {verb} not fit beside what else is on this host. {worse.reason} {ways}"
