# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which requests a gateway sends again: those that no engine took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.builders.engines import Engine, serving
from ansible_collections.gguf.fleet.tests.builders.gateway import Gateway, llama_cpp_host, running
from ansible_collections.gguf.fleet.tests.fixtures_assets import image

pytestmark = pytest.mark.docker


@dataclass
class Fleet:
    """Two hosts that serve one model."""

    gateway: Gateway
    first: Engine
    second: Engine


@pytest.fixture(
    scope="module", params=["gateway", *(pytest.param(later, marks=pytest.mark.long) for later in ("trixie", "forky"))]
)
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    with serving(name="tiny") as first, serving(name="tiny") as second:
        hosts = {"a": llama_cpp_host(first), "b": llama_cpp_host(second)}
        with running(folder, hosts, image=image(request.param), clients=[{"name": "full"}]) as gateway:
            yield Fleet(gateway, first, second)


@pytest.fixture
def fleet(started: Fleet) -> Fleet:
    for engine in (started.first, started.second):
        engine.seen.clear()
        engine.loads = engine.dies = False
    return started


def test_a_request_that_meets_an_engine_which_loads_goes_to_another_one(fleet: Fleet) -> None:
    fleet.first.loads = True
    assert [fleet.gateway.chat("tiny").status for _number in range(10)] == [200] * 10
    assert fleet.first.asked
    assert len(fleet.second.asked) == 10


def test_where_all_load_the_client_is_told_to_come_back(fleet: Fleet) -> None:
    fleet.first.loads = fleet.second.loads = True
    assert fleet.gateway.chat("tiny").status == 503
    assert len(fleet.first.asked) + len(fleet.second.asked) == 3
    assert fleet.first.asked and fleet.second.asked


def test_a_request_that_an_engine_had_when_it_died_is_never_sent_again(fleet: Fleet) -> None:
    fleet.first.dies = fleet.second.dies = True
    assert fleet.gateway.chat("tiny").status == 502
    assert len(fleet.first.asked) + len(fleet.second.asked) == 1


def test_no_connection_to_an_engine_is_used_twice(fleet: Fleet) -> None:
    for _number in range(5):
        assert fleet.gateway.chat("tiny").status == 200
    headers = [one.headers for engine in (fleet.first, fleet.second) for one in engine.asked]
    assert [one.get("connection") for one in headers] == ["close"] * 5
