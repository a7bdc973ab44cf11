# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names in HAProxy's configuration and in certificates."""

from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gateway.names import (
    backend_of,
    door_name,
    gateway_name,
    instance_sni,
    safe,
    server_of,
)


def test_plain_names_stay_as_they_are() -> None:
    assert server_of("h20-01", "llama-cpp-r1") == "h20-01_llama-cpp-r1"
    assert (door_name("h20-01"), gateway_name("gw")) == (
        "h20-01.door.gguf-fleet.internal",
        "gw.gateway.gguf-fleet.internal",
    )
    assert instance_sni("h20-01", "ollama") == "ollama.h20-01.instance.gguf-fleet.internal"


@pytest.mark.parametrize("name", ["a b", "a\nb", "ä", "A", "a_b", "..", "x" * 64, 'a"b', "a/b", "a:b", "*", ""])
def test_an_odd_name_becomes_a_plain_one_of_its_own(name: str) -> None:
    found = safe(name)
    assert 0 < len(found) <= 63
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert found not in {safe(other) for other in ("a-b", "a", "x" * 63, "--")}


def test_the_names_of_one_model_have_one_backend() -> None:
    assert len({backend_of(name) for name in ("r1", "R1", "r1:latest", "R1:LATEST")}) == 1
    assert backend_of("r1:7b") != backend_of("r1")
