# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which cards each instance gets: as few as hold it, and those that lie together where there is a choice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Callable, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import Device

Cards = tuple[Device, ...]

# Beyond these the search takes what it has: hosts whose cards all differ have more choices than anybody waits for.
_MOST_CHOICES = 400
_MOST_STEPS = 4000


@dataclass(frozen=True)
class Need:
    """One instance that gets cards of its own.

    pool: the cards it may have, in their order. fits: whether some of them hold it. least_bytes: what it needs at
    least, all cards together, which spares asking `fits` about too few.
    """

    pool: Cards
    fits: Callable[[Cards], bool]
    least_bytes: int = 0


def share_out(needs: Sequence[Need]) -> Optional[list[Cards]]:
    """Cards for every instance, no card twice, as few as possible in all; nothing where they are not enough.

    Among ways with the same number, one in which every instance stays within one NUMA node and one NVLink island, if
    there is one; then one that leaves the larger cards free.
    """
    search = _Search(needs)
    fewest = [search.fewest(number) for number in range(len(needs))]
    if None in fewest:
        return None
    least = [count or 0 for count in fewest]
    there = len({card.index for need in needs for card in need.pool})
    for cards in range(sum(least), there + 1):
        for apart in (False, True):
            found = search.place(0, frozenset(), cards, least, apart)
            if found is not None:
                return found
    return None


class _Search:
    def __init__(self, needs: Sequence[Need]) -> None:
        self._needs = needs
        # The instances of one model are alike: what was asked about one holds for all.
        self._kind = [next(first for first, other in enumerate(needs) if other == need) for need in needs]
        self._held: dict[tuple[int, tuple[int, ...]], bool] = {}
        self._fewest: dict[int, Optional[int]] = {}
        self._steps = 0

    def fewest(self, number: int) -> Optional[int]:
        """How many cards this instance takes at least; nothing where its whole pool does not hold it."""
        kind, pool = self._kind[number], self._needs[number].pool
        if kind not in self._fewest:
            counts = range(1, len(pool) + 1)
            held = (count for count in counts if any(self._holds(number, cards) for cards in _choices(pool, count)))
            self._fewest[kind] = next(held, None)
        return self._fewest[kind]

    def place(
        self, number: int, taken: frozenset[int], cards: int, least: Sequence[int], apart: bool
    ) -> Optional[list[Cards]]:
        """The cards of this instance and of those behind it, at most `cards` in all.

        apart: whether an instance may lie on several NUMA nodes or NVLink islands.
        """
        if number == len(self._needs):
            return []
        free = tuple(card for card in self._needs[number].pool if card.index not in taken)
        most = min(cards - sum(least[number + 1 :]), len(free))
        for count in range(least[number], most + 1):
            for choice in _choices(free, count):
                if (not apart and spans(choice)) or not self._holds(number, choice):
                    continue
                self._steps += 1
                if self._steps > _MOST_STEPS:
                    return None
                used = taken | {card.index for card in choice}
                rest = self.place(number + 1, used, cards - count, least, apart)
                if rest is not None:
                    return [choice, *rest]
        return None

    def _holds(self, number: int, choice: Cards) -> bool:
        need = self._needs[number]
        if sum(card.usable_bytes for card in choice) < need.least_bytes:
            return False
        key = (self._kind[number], tuple(card.usable_bytes for card in choice))
        if key not in self._held:
            self._held[key] = need.fits(choice)
        return self._held[key]


def spans(cards: Sequence[Device]) -> bool:
    """Whether they lie on several NUMA nodes or NVLink islands, as far as the driver tells."""
    nodes = {card.numa_node for card in cards}
    islands = {card.island for card in cards}
    return len(nodes) > 1 or len(islands) > 1


def _choices(free: Cards, count: int) -> list[Cards]:
    """Ways to take that many cards, the better first.

    Of cards that are alike and follow each other, the first ones are taken. Where others lie between them, it matters
    which: an engine gives its layers to the cards in their order.
    """
    runs = [
        list(cards) for _kind, cards in itertools.groupby(free, key=lambda c: (c.usable_bytes, c.numa_node, c.island))
    ]
    ways = itertools.islice(_counts([len(cards) for cards in runs], count), _MOST_CHOICES)
    found = [tuple(card for cards, taken in zip(runs, way) for card in cards[:taken]) for way in ways]
    return sorted(found, key=_worse)


def _kind_of(card: Device) -> tuple[int, Optional[int], Optional[int]]:
    return card.usable_bytes, card.numa_node, card.island


def _worse(cards: Cards) -> tuple[bool, int, list[int]]:
    return spans(cards), sum(card.usable_bytes for card in cards), [card.index for card in cards]


def _counts(most: Sequence[int], total: int) -> Iterator[tuple[int, ...]]:
    """All ways to write a total as a sum of one number a run, none above its most."""
    if not most:
        if total == 0:
            yield ()
        return
    for first in range(min(most[0], total), max(0, total - sum(most[1:])) - 1, -1):
        for rest in _counts(most[1:], total - first):
            yield (first, *rest)
