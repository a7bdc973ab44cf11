# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that a gateway does not reach is found before the gateway changes."""

from __future__ import annotations

import socket

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gateway.reach import (
    Place,
    ReachProblem,
    new_places,
    refuse_unreachable,
)

CONFIGURATION = (
    "backend model_r1\n    server a_ollama 10.0.0.1:8443 init-addr last\n    server b [fd00::2]:8443 maxconn 1\n"
)


def test_hosts_that_the_gateway_knows_are_not_asked_again() -> None:
    known = [Place("a", "10.0.0.1", 8443), Place("b", "fd00::2", 8443)]
    moved = [Place("a", "10.0.0.1", 9443), Place("a", "10.0.0.11", 8443)]
    assert new_places([*known, *moved], CONFIGURATION) == moved
    assert new_places(known, "") == known


def test_all_that_take_no_connection_are_told_with_the_way_out() -> None:
    with socket.socket() as open_port, socket.socket() as closed:
        open_port.bind(("127.0.0.1", 0))
        open_port.listen()
        # Bound, and nobody listens.
        closed.bind(("127.0.0.1", 0))
        reached = Place("a", "127.0.0.1", open_port.getsockname()[1])
        refused = Place("b", "127.0.0.1", closed.getsockname()[1])
        refuse_unreachable([reached])
        with pytest.raises(ReachProblem) as told:
            refuse_unreachable([reached, refused, Place("c", "name.invalid", 8443)])
    assert f"b at {refused.text} (Connection refused)" in told.value.problem
    assert "c at name.invalid:8443" in told.value.problem
    assert "a at" not in told.value.problem
    assert "gateway_refuse_unreachable=false" in told.value.remedy
