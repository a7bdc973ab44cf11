# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the variables of a host say that its models are served."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._verify.endpoints import endpoints, is_loopback, split_host


def found(models: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    given = {"engine": "ollama", "ollama_host": "127.0.0.1:11434", "llama_cpp_host": "127.0.0.1", "servers": [], **more}
    return endpoints(models, **given)


def test_ollama_models_share_an_endpoint() -> None:
    told = found([{"name": "a"}, {"catalog": "b"}], ollama_host="0.0.0.0:11434")
    assert [(entry["model"], entry["url"], entry["open"]) for entry in told] == [
        ("a", "http://127.0.0.1:11434", True),
        ("b", "http://127.0.0.1:11434", True),
    ]


def test_llama_cpp_models_get_the_ports_that_their_servers_have() -> None:
    models: list[dict[str, Any]] = [
        {"name": "a"},
        {"name": "b", "port": 8080},
        {"name": "c"},
        {"name": "d", "engine": "ollama"},
    ]
    told = found(models, engine="llama_cpp", llama_cpp_host="0.0.0.0")
    assert [(entry["model"], entry["port"], entry["open"]) for entry in told] == [
        ("d", 11434, False),
        ("a", 8081, True),
        ("b", 8080, True),
        ("c", 8082, True),
    ]


def test_servers_declared_by_hand_are_endpoints_once() -> None:
    servers = [{"name": "x", "alias": "y", "model": "/m", "host": "::1", "port": 9000}]
    (told,) = found([], servers=servers * 2)
    assert told == {"engine": "llama_cpp", "model": "y", "url": "http://[::1]:9000", "port": 9000, "open": False}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0.0.0", ("0.0.0.0", 11434)),
        (":8080", ("0.0.0.0", 8080)),
        ("http://10.0.0.1:1", ("10.0.0.1", 1)),
        ("[::]:11434", ("::", 11434)),
        ("localhost:1", ("localhost", 1)),
    ],
)
def test_the_host_of_ollama_is_taken_apart(text: str, expected: tuple[str, int]) -> None:
    assert split_host(text) == expected


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("10.0.0.1", False), ("box", False)],
)  # fmt: skip
def test_only_loopback_is_closed_to_the_network(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback
