# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared servers become services: all of a host in one list, for one run of engine_service."""

from __future__ import annotations

from typing import Any

from ansible_collections.gguf.fleet.plugins.filter.llama_server_services import llama_server_services
from ansible_collections.gguf.fleet.plugins.filter.ollama_services import ollama_services

LISTENING = [
    {"name": "llama-cpp-coder", "listen": {"url": "http://127.0.0.1:8081"}},
    {"name": "llama-cpp-r1", "listen": {"url": "http://127.0.0.1:8080"}},
]


def llama(**more: Any) -> dict[str, Any]:
    server = {"name": "r1", "model": "/srv/r1.gguf", "port": 8080, "parameters": {"api-key": ["k1", "k2"]}, **more}
    (service,) = llama_server_services([server], "/usr/bin/llama-server", 0, variables={"A": "1"}, listening=LISTENING)
    return service


def test_a_server_of_llama_cpp_has_its_own_address_files_and_key() -> None:
    service = llama()
    assert service["name"] == "llama-cpp-r1" and service["description"] == "llama.cpp, r1"
    assert service["url"] == "http://127.0.0.1:8080" and service["mounts"] == ["/srv"] and service["models"] == ["r1"]
    assert service["environment"] == {"A": "1", "LLAMA_API_KEY": "k1,k2"}
    assert "k1" not in " ".join(service["command"]) and service["beside"] is False


def test_a_server_goes_by_its_alias_and_says_itself_whether_there_is_memory_beside_others() -> None:
    service = llama(alias="deepseek-r1", beside=True)
    assert service["models"] == ["deepseek-r1"] and service["description"] == "llama.cpp, deepseek-r1"
    assert service["beside"] is True


def ollama(**options: Any) -> list[dict[str, Any]]:
    servers: list[dict[str, Any]] = [
        {"name": "ollama", "instance": None, "url": "http://127.0.0.1:11434", "models": ["a"], "environment": {}},
        {
            "name": "ollama-a-2",
            "instance": "a-2",
            "url": "http://127.0.0.1:11435",
            "models": ["a"],
            "environment": {"CUDA_VISIBLE_DEVICES": "-1", "OLLAMA_NOPRUNE": "1"},
        },
    ]
    return ollama_services(servers, {"OLLAMA_ORIGINS": "*"}, "/lock", **options)


def test_only_the_first_server_of_ollama_waits_for_the_lock_of_the_store() -> None:
    first, second = ollama()
    assert (first["start_lock"], second["start_lock"]) == ("/lock", "")
    assert (first["description"], second["description"]) == ("Ollama", "Ollama, a-2")
    assert second["environment"] == {"OLLAMA_ORIGINS": "*", "CUDA_VISIBLE_DEVICES": "-1", "OLLAMA_NOPRUNE": "1"}


def test_the_first_server_of_ollama_is_asked_for_other_models_and_one_without_cards_not_for_gpus() -> None:
    first, second = ollama(asked=["b"], gpus=True)
    assert (first["models"], second["models"]) == (["b"], ["a"])
    assert (first["gpus"], second["gpus"]) == (True, False)
    assert [one["models"] for one in ollama(asks=False)] == [[], []]
