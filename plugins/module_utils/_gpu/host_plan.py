# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""All models of a host together: which instance on which cards, and whether cards and RAM are enough for the sum.

What llama.cpp serves is always in memory, so it is added up. Ollama loads on demand: what does not fit at the same time
is loaded in turns, which is said and not refused. Each instance's numbers are those of `plan`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.cards import Cards
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.demand import (
    MAX,
    Books,
    Demand,
    HostPlan,
    Instance,
    chosen,
    chosen_of,
    first_server_of,
    lost,
    none_is_left,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import Device
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.own_cards import own_cards
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import make_plan
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.residents import residents
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.turns import in_turns


def plan_host(devices: Sequence[Device], ram_bytes: Optional[int], demands: Sequence[Demand]) -> HostPlan:
    """All demands of a host.

    Args:
        devices: the usable cards of the host.
        ram_bytes: its RAM, None where it is not known.
        demands: its models in the order of declaration.

    Raises:
        GpuError: for a card that is asked for and not there.
    """
    open_ones = [demand for demand in demands if demand.replicas == MAX]
    if open_ones and not devices:
        raise GpuError(f"{open_ones[0].name}: replicas is max, and the host has no GPUs.", "Give a number.")
    counts = {demand.name: 1 for demand in open_ones}
    for demand in open_ones:
        counts[demand.name] = _most_replicas(devices, ram_bytes, demands, demand, counts)
    return _plan(devices, ram_bytes, [_counted(demand, counts) for demand in demands])


def _counted(demand: Demand, counts: Mapping[str, int]) -> Demand:
    return replace(demand, replicas=counts[demand.name]) if demand.name in counts else demand


def _most_replicas(
    devices: Sequence[Device],
    ram_bytes: Optional[int],
    demands: Sequence[Demand],
    demand: Demand,
    counts: Mapping[str, int],
) -> int:
    """As many as leave room for everything else."""
    most = 1
    for count in range(2, len(devices) + 1):
        tried = [_counted(other, {**counts, demand.name: count}) for other in demands]
        planned = _plan(devices, ram_bytes, tried)
        if planned.refusals or not all(instance.plan.fits for instance in planned.instances):
            return most
        most = count
    return most


def _plan(devices: Sequence[Device], ram_bytes: Optional[int], demands: Sequence[Demand]) -> HostPlan:
    host = _Host(devices, ram_bytes, demands)
    host.place_own()
    host.place_residents()
    warnings = host.place_ollama()
    instances = tuple(instance for demand in demands for instance in host.made[demand.name])
    first_server = tuple(sorted(host.first_server, key=lambda card: card.index)) if host.own else None
    return HostPlan(instances, tuple(host.refusals), tuple(warnings), first_server, host.short_of_cards)


class _Host:
    """A host while its demands are placed, those that stay in memory first."""

    def __init__(self, devices: Sequence[Device], ram_bytes: Optional[int], demands: Sequence[Demand]) -> None:
        self.devices, self.demands = devices, demands
        self.empty = Books(devices, ram_bytes)
        self.books = Books(devices, ram_bytes)
        self.own: Mapping[str, tuple[Cards, ...]] = {}
        self.made: dict[str, list[Instance]] = {demand.name: [] for demand in demands}
        self.refusals: list[str] = []
        self.short_of_cards: Optional[str] = None
        # The cards that Ollama's first server sees, where some cards belong to instances.
        self.first_server: Cards = ()

    def place_own(self) -> None:
        """The instances that have cards of their own."""
        self.own, self.short_of_cards = own_cards(self.devices, self.demands)
        if self.short_of_cards:
            self.refusals.append(self.short_of_cards)
        for demand in sorted(self.demands, key=lambda demand: not demand.resident):
            for number, cards in enumerate(self.own.get(demand.name, ())):
                plan = make_plan(demand.model, cards, self.books.request(demand))
                self.books.keep(plan)
                self.made[demand.name].append(Instance(demand, number, plan, cards))

    @property
    def free(self) -> Cards:
        """The cards that no instance owns."""
        owned = {card.index for groups in self.own.values() for cards in groups for card in cards}
        return tuple(card for card in self.devices if card.index not in owned)

    def place_residents(self) -> None:
        """What else llama.cpp serves."""
        shared = [demand for demand in self.demands if demand.resident and demand.name not in self.own]
        plans, problem = residents(self.books, shared, self.devices, self.free)
        if problem:
            self.refusals.append(problem)
        for demand, plan in zip(shared, plans):
            self.books.keep(plan)
            self.made[demand.name].append(Instance(demand, 0, plan))

    def place_ollama(self) -> Sequence[str]:
        """What else the first server of Ollama serves, in turns where it must be; warnings of that."""
        lead = first_server_of([demand for demand in self.demands if not demand.resident])
        group = [demand for demand in self.demands if not demand.resident and demand.name not in self.own]
        if self.own:
            self.first_server = (self.own[lead.name][0] if lead else ()) + (self.free if group else ())
        if not group:
            return []
        books = self.books
        if lead:
            # The first instance leaves when another model is asked for.
            books = books.copy()
            books.give_back(self.made[lead.name][0].plan)
        if self.own and self.devices and not self.first_server:
            self.refusals.append(f"{none_is_left(group)} Leave a card to them, or serve them from another host.")
        seen_of = {demand.name: self._seen(demand) for demand in group}
        for demand in group:
            seen = seen_of[demand.name]
            plan = make_plan(demand.model, books.cards(seen), books.request(demand))
            self.made[demand.name].append(Instance(demand, 0, plan))
            if lost(plan, make_plan(demand.model, seen, self.empty.request(demand))):
                self.refusals.append(
                    f"{demand.name} does not fit beside what is always in memory on this host. {plan.reason} Serve it "
                    "from another host, take a smaller quant or context, or say with num_gpu what stays in RAM."
                )
        served = [*([lead] if lead else []), *group]
        # They are served by one process, so one set of cards holds for all of them.
        served = [replace(demand, only=_names(seen_of[group[0].name])) for demand in served]
        return in_turns(books, self.devices, [demand for demand in served if self.made[demand.name][0].plan.fits])

    def _seen(self, demand: Demand) -> Cards:
        """The cards on which a model of Ollama's first server may lie."""
        if not self.own:
            return chosen(self.devices, demand.only, demand.name)
        return chosen_of(self.first_server, demand)


def _names(cards: Sequence[Device]) -> tuple[str, ...]:
    return tuple(str(card.index) for card in cards) or ("-1",)
