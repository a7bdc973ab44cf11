# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``connections: auto`` beside networks of several kinds."""

from __future__ import annotations

from typing import Callable, List

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.connections import Growth

MB = 1_000_000
Rate = Callable[[int, float], float]


def course(rate: Rate, seconds: float, *, welcome: bool = True) -> List[int]:
    """The numbers of connections over time, looked at four times a second."""
    growth, total, numbers = Growth(16, 0, 0.0), 0.0, []
    for step in range(1, int(seconds * 4) + 1):
        total += rate(growth.connections, step / 4) / 4
        numbers.append(growth.look(int(total), step / 4, welcome=welcome))
    return numbers


def each_gets(limit: float) -> Rate:
    return lambda connections, _now: connections * limit


def all_get(limit: float) -> Rate:
    return lambda connections, _now: limit


def test_where_each_connection_has_its_own_limit_all_are_used_after_a_second() -> None:
    for limit in (1 * MB, 25 * MB):
        assert set(course(each_gets(limit), 60.0)[4:]) == {16}
    numbers = course(each_gets(100 * MB), 120.0)
    assert numbers.count(16) > 0.9 * len(numbers)


def test_where_more_bring_nothing_few_are_used_most_of_the_time() -> None:
    numbers = course(all_get(900 * MB), 120.0)
    assert numbers.count(16) < len(numbers) / 10
    assert max(numbers[-40:]) <= 8


def test_a_burst_at_the_start_does_not_hide_that_more_would_help() -> None:
    def burst(connections: int, now: float) -> float:
        return 800 * MB if now <= 1.0 else connections * 40 * MB

    assert course(burst, 6.0)[-1] == 16


def test_the_number_that_is_enough_is_kept() -> None:
    def half_way(connections: int, _now: float) -> float:
        return min(connections, 8) * 100 * MB

    numbers = course(half_way, 30.0)
    assert numbers.count(8) > len(numbers) / 2


@pytest.mark.parametrize(("rate", "welcome"), [(each_gets(0), True), (each_gets(25 * MB), False)])
def test_a_server_that_sends_nothing_or_has_enough_gets_no_more_of_them(rate: Rate, welcome: bool) -> None:
    assert set(course(rate, 10.0, welcome=welcome)) == {4}
