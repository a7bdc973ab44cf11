# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An address that something else holds is refused before anything is changed, and one for everybody, too."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Dict

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import ports
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem


@pytest.fixture
def held() -> Iterator[str]:
    """An address that this very process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def refuse(address: str, running: Dict[str, int], going: tuple[str, ...] = ()) -> None:
    ports.refuse_taken({"ours": [address]}, going, lambda service: running.get(service, 0), "Stop it.")


def test_a_port_that_something_else_holds_is_refused_with_who_it_is(held: str) -> None:
    with pytest.raises(ServiceProblem) as refused:
        refuse(held, {})
    assert f"port {held.rpartition(':')[2]} of 127.0.0.1 is in use by " in refused.value.problem
    assert f"(pid {os.getpid()}, " in refused.value.problem
    assert refused.value.remedy == "Stop it."


def test_our_own_service_may_hold_its_port(held: str) -> None:
    refuse(held, {"ours": os.getpid()})


def test_a_service_of_ours_that_goes_first_may_hold_it(held: str) -> None:
    refuse(held, {"renamed": os.getpid()}, ("renamed",))
    with pytest.raises(ServiceProblem):
        refuse(held, {"stays": os.getpid()})


def test_a_free_port_is_taken(held: str) -> None:
    refuse(held.replace("127.0.0.1", "127.0.0.2"), {})
    ports.refuse_taken({"absent": []}, (), lambda service: 0, "Stop it.")


def test_a_port_of_ours_that_is_open_now_and_is_going_to_be_loopback_s_closes() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        running = {"ours": os.getpid()}

        def closing(address: str, name: str = "ours") -> list[str]:
            return ports.closing({name: [f"{address}:{port}"]}, lambda service: running.get(service, 0))

        assert closing("127.0.0.1") == [f"0.0.0.0:{port}"]
        assert closing("0.0.0.0") == []
        assert closing("127.0.0.1", "another program's") == []


def test_a_port_on_loopback_has_nothing_to_close(held: str) -> None:
    assert ports.closing({"ours": [held]}, lambda service: os.getpid()) == []


def test_an_address_of_rpc_for_everybody_is_refused_by_its_setting() -> None:
    ports.refuse_public({"llama_cpp_rpc.host": "127.0.0.1"})
    with pytest.raises(ServiceProblem, match=r'llama_cpp_rpc.host is "0.0.0.0", which is in none of the private net'):
        ports.refuse_public({"llama_cpp_rpc.host": "0.0.0.0"})
