# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The cards of the instances that get some of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.cards import Cards, Need, share_out
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.demand import Demand, chosen
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import Device
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import FULL, NONE, PlanRequest, mode_of
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError


def own_cards(
    devices: Sequence[Device], demands: Sequence[Demand]
) -> tuple[dict[str, tuple[Cards, ...]], Optional[str]]:
    """The cards of each instance that has some of its own, by the model's name, and why there are not enough."""
    given = {demand.name: chosen(devices, demand.gpus, demand.name) for demand in demands if demand.gpus}
    reserved: dict[int, str] = {}
    for name, cards in given.items():
        for card in cards:
            if reserved.setdefault(card.index, name) != name:
                raise GpuError(
                    f"GPU {card.index} is among the gpus of {reserved[card.index]} and of {name}.",
                    "Give each card to one of them.",
                )
    found: dict[str, tuple[Cards, ...]] = {}
    searched: list[Demand] = []
    needs: list[Need] = []
    for demand in sorted(demands, key=lambda demand: -demand.model.size_bytes):
        if not demand.own_cards:
            continue
        pool = given.get(demand.name)
        if demand.replicas is None:
            found[demand.name] = (pool or (),)
            continue
        if pool is None:
            pool = tuple(card for card in chosen(devices, demand.only, demand.name) if card.index not in reserved)
        if not pool:
            # On a host without GPUs they share its RAM.
            found[demand.name] = ((),) * int(demand.replicas)
            continue
        searched.append(demand)
        needs += [Need(pool, _Holds(demand), _least_bytes(demand))] * int(demand.replicas)
    placed = share_out(needs)
    if placed is None:
        for demand in searched:
            # Something to show beside the reason: what one instance would be on all of its cards.
            pool = next(need.pool for need in needs if need.fits == _Holds(demand))
            found[demand.name] = (pool,)
        return found, _not_enough(devices, searched)
    groups = iter(placed)
    for demand in searched:
        found[demand.name] = tuple(next(groups) for _replica in range(int(demand.replicas or 0)))
    return found, None


@dataclass(frozen=True)
class _Holds:
    """Whether cards hold a demand: wholly, or as far as its own settings put it there."""

    demand: Demand

    def __call__(self, cards: Cards) -> bool:
        mode = mode_of(self.demand.model, cards, self.demand.request)
        return mode == FULL or (mode != NONE and not _automatic(self.demand.request))


def _automatic(request: PlanRequest) -> bool:
    return request.num_gpu is None and request.host_experts is None


def _least_bytes(demand: Demand) -> int:
    if not _automatic(demand.request):
        return 0
    blocks = sum(block.dense_bytes + block.experts_bytes for block in demand.model.blocks)
    return blocks + demand.model.gpu_output_bytes


def _not_enough(devices: Sequence[Device], demands: Sequence[Demand]) -> str:
    wanted = " and ".join(f"{demand.replicas} × {demand.name}" for demand in demands)
    alone = [f"{demand.name} {_cards_alone(devices, demand)}" for demand in demands]
    return (
        f"The cards are not enough for {wanted}, each instance on cards of its own: {', '.join(alone)}. Ask for fewer "
        "replicas, or for a smaller quant or context."
    )


def _cards_alone(devices: Sequence[Device], demand: Demand) -> str:
    pool = chosen(devices, demand.gpus or demand.only, demand.name)
    one = share_out([Need(pool, _Holds(demand), _least_bytes(demand))])
    if one is None:
        return f"does not fit completely on all {len(pool)} of its cards together"
    return f"takes {len(one[0])} of {len(pool)} an instance"
