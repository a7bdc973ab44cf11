# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a host is asked to serve, what is left of its cards and RAM while it is planned, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional, Union

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.cards import Cards
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import Device, indices_of
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.engines import OLLAMA
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import Model
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import FULL, Plan, PlanRequest
from ansible_collections.gguf.fleet.plugins.module_utils._host.sizes import in_mib

MAX = "max"


@dataclass(frozen=True)
class Demand:
    """A model that a host serves.

    request: without RAM, which is the host's. only: indices or UUIDs of the cards that its engine may use, empty: all.
    replicas: how many instances, each on cards of its own, MAX for as many as there is room for; None for a model that
    shares the cards of its engine. gpus: the cards for it alone, empty for no choice. at_once: how many models Ollama
    may hold (OLLAMA_MAX_LOADED_MODELS), 0 for its own choice. file: what tells its weights from those of others, empty
    where nothing does.
    """

    name: str
    model: Model
    request: PlanRequest
    only: tuple[str, ...] = ()
    replicas: Union[int, str, None] = None
    gpus: tuple[str, ...] = ()
    at_once: int = 0
    file: str = ""

    @property
    def resident(self) -> bool:
        """Whether it is always in memory."""
        return self.request.engine != OLLAMA

    @property
    def own_cards(self) -> bool:
        return self.replicas is not None or bool(self.gpus)


@dataclass(frozen=True)
class Instance:
    """One running copy. number: from 0. cards: those that its server sees, where it has some of its own."""

    demand: Demand
    number: int
    plan: Plan
    cards: Optional[Cards] = None

    @property
    def name(self) -> str:
        return instance_name(self.demand.name, self.number)

    def as_facts(self) -> dict[str, Any]:
        """Plain data. C(gpus): UUIDs or indices of the cards that it is to see, None where it shares its engine's."""
        facts: dict[str, Any] = {"name": self.name, "model": self.demand.name, "number": self.number, "gpus": None}
        if self.cards is not None:
            used = [share.device for share in self.plan.layout.shares if share.layers and share.device]
            # Its split is told for the cards that it uses.
            seen = used if used and self.demand.resident else self.cards
            facts["gpus"] = [_card(card) for card in seen]
        return facts


@dataclass(frozen=True)
class HostPlan:
    """The instances in the order of the demands; why the host cannot serve them; what its operator should know.

    first_server: the cards that the first server of Ollama is to see; None where no card belongs to an instance alone.
    short_of_cards: the refusal, where they are not enough for the instances; what these have is then only to be shown.
    """

    instances: tuple[Instance, ...]
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    first_server: Optional[Cards] = None
    short_of_cards: Optional[str] = None

    def as_facts(self) -> dict[str, Any]:
        """Plain data: `plans` by the instance's name, each with a refusal of its own, and the rest as it is."""
        return {
            "plans": {instance.name: instance.plan.as_facts() for instance in self.instances},
            "instances": [instance.as_facts() for instance in self.instances],
            "first_server": None if self.first_server is None else [_card(card) for card in self.first_server],
            "short_of_cards": self.short_of_cards,
            "refusals": list(self.refusals),
            "warnings": list(self.warnings),
        }


def _card(card: Device) -> str:
    return card.uuid or str(card.index)


def instance_name(model: str, number: int) -> str:
    """The first instance has the model's name, the others a number: a, a-2, a-3."""
    return model if number == 0 else f"{model}-{number + 1}"


class Books:
    """What the cards and the RAM of a host have left."""

    def __init__(self, devices: Sequence[Device], ram_bytes: Optional[int]) -> None:
        self.left = {device.index: device.usable_bytes for device in devices}
        self.ram_left = ram_bytes

    def copy(self) -> Books:
        other = Books((), self.ram_left)
        other.left = dict(self.left)
        return other

    def keep(self, plan: Plan) -> None:
        """Take what a plan takes."""
        self._add(plan, -1)

    def give_back(self, plan: Plan) -> None:
        """The opposite of keep."""
        self._add(plan, 1)

    def _add(self, plan: Plan, sign: int) -> None:
        for share in plan.layout.shares:
            if share.layers and share.device is not None:
                self.left[share.device.index] += sign * share.total_bytes
        if self.ram_left is not None:
            self.ram_left += sign * plan.layout.host.total_bytes

    def request(self, demand: Demand) -> PlanRequest:
        """What is wanted, with the RAM that is left."""
        return replace(demand.request, ram_bytes=None if self.ram_left is None else max(self.ram_left, 0))

    def cards(self, devices: Sequence[Device]) -> Cards:
        """The cards with what is left of them; full ones are not there."""
        left = (replace(card, usable_bytes=self.left[card.index]) for card in devices)
        return tuple(card for card in left if card.usable_bytes > 0)


def chosen(devices: Sequence[Device], names: Sequence[str], model: str) -> Cards:
    """The devices with these indices or UUIDs; all for no names, none for -1.

    Raises:
        GpuError: for one that is missing.
    """
    indices = indices_of(names, {card.index: card.uuid for card in devices}, f"{model}: ")
    return tuple(card for card in devices if card.index in indices)


def chosen_of(cards: Sequence[Device], demand: Demand) -> Cards:
    """Those of these cards that its engine may use."""
    if not demand.only:
        return tuple(cards)
    return tuple(card for card in cards if {str(card.index), str(card.uuid)} & set(demand.only))


def first_server_of(by_ollama: Sequence[Demand]) -> Optional[Demand]:
    """The model whose first instance is on Ollama's first server, which holds the models without replicas, too.

    The first one with replicas. One that only has cards of its own (C(gpus)) keeps them to itself, unless there is
    nothing else to be served.
    """
    replicated = [demand for demand in by_ollama if demand.replicas is not None]
    if not replicated and all(demand.own_cards for demand in by_ollama):
        replicated = list(by_ollama)
    return replicated[0] if replicated else None


def none_is_left(demands: Sequence[Demand]) -> str:
    """That models which share cards have none."""
    names = listed([demand.name for demand in demands])
    return f"No card is left for {names}: all belong to instances that have cards of their own."


def lost(plan: Plan, alone: Plan) -> bool:
    """Whether a model runs worse than it would without the others: not at all, or no longer wholly on the cards."""
    return alone.fits and (not plan.fits or (alone.mode == FULL and plan.mode != FULL))


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def sizes_text(sizes: Mapping[str, int]) -> str:
    """Names with their bytes in MiB."""
    return ", ".join(f"{name} {in_mib(size)}" for name, size in sizes.items())
