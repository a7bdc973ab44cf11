# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway asked as a client of it. A real one is asked by the Molecule scenario `gateway`."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.generation import Question
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem
from ansible_collections.gguf.fleet.plugins.module_utils._verify.entrance import (
    Client,
    check_entrance,
    client_to_ask,
    report,
)
from ansible_collections.gguf.fleet.tests.builders.engines import serving


def test_the_client_that_sees_most_is_asked_with() -> None:
    clients: list[dict[str, Any]] = [
        {"name": "limited", "requests_at_once": 1},
        {"name": "guest", "models": ["R1:latest"]},
        {"name": "full"},
        {"name": "unknown", "key_sha256": "ab" * 32},
    ]
    keys = {"limited": "l", "guest": "g", "full": "f"}
    assert client_to_ask(clients, keys, ["r1", "r2"]) == Client("full", "f", ["r1", "r2"])
    del keys["full"]
    assert client_to_ask(clients, keys, ["r1", "r2"]) == Client("guest", "g", ["r1"])
    assert client_to_ask(clients, {}, ["r1"]) is None
    assert client_to_ask(clients, keys, []) is None


def test_an_engine_without_a_gateway_before_it_does_not_pass_for_one() -> None:
    with serving(name="r1") as engine:
        endpoint = Endpoint(f"http://llm.example.com:{engine.port}", silence_seconds=10, address="127.0.0.1")
        with pytest.raises(EngineProblem, match="GET /v1/models without a key gives 503, not 401"):
            check_entrance(endpoint, endpoint, Client("a", "k", ["r1"]), Question("a", 1), 10.0)
        assert engine.seen[0].headers["Host"] == f"llm.example.com:{engine.port}"


def test_the_report_names_the_file_of_the_key_and_keeps_each_answer_on_its_line() -> None:
    found = [{"model": "r1", "answer": "Paris.\n\x1b[2J", "first_token_seconds": 0.5, "tokens_per_second": None}]
    lines = report("https://llm", "chat", "/k/chat.key", found)
    assert "/k/chat.key" in lines[0]
    assert "\x1b" not in "".join(lines)
    assert len(lines) == 3


def test_a_certificate_that_ends_soon_is_warned_of() -> None:
    assert "WARNING" not in "".join(report("https://llm", "chat", "", [], 30))
    assert report("https://llm", "chat", "", [], 29)[-1].startswith(
        "WARNING: The certificate of https://llm ends in 29 days."
    )
