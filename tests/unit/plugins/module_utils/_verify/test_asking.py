# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What endpoint_check is to ask of a host's endpoints."""

from __future__ import annotations

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, together
from ansible_collections.gguf.fleet.plugins.module_utils._verify.asking import to_ask
from ansible_collections.gguf.fleet.plugins.module_utils._verify.check import named

OLLAMA = {"engine": "ollama", "model": "r1", "url": "http://127.0.0.1:11434", "port": 11434, "open": True}
LLAMA_CPP = {"engine": "llama_cpp", "model": "v3", "url": "http://127.0.0.1:8080", "port": 8080, "open": True}
BOTH = [OLLAMA, LLAMA_CPP]


def test_each_engine_has_its_own_key_and_origin() -> None:
    asked = to_ask(BOTH, ollama_origins=["https://a", "https://b"], llama_cpp_environment={"LLAMA_API_KEY": "k1,k2"})
    assert asked == [
        {"engine": "ollama", "model": "r1", "url": "http://127.0.0.1:11434", "origin": "https://a"},
        {"engine": "llama_cpp", "model": "v3", "url": "http://127.0.0.1:8080", "api_key": "k1"},
    ]


def test_an_ollama_must_be_of_the_declared_version() -> None:
    engines = {"ollama": {"version": "0.5.7"}, "llama_cpp": {"version": "b9000"}}
    assert [entry.get("version") for entry in to_ask(BOTH, engines=engines)] == ["0.5.7", None]


def test_what_is_given_for_all_goes_before() -> None:
    environment = {"LLAMA_API_KEY": "k1"}
    asked = to_ask(BOTH, origin="https://o", ollama_origins=["*"], api_key="k", llama_cpp_environment=environment)
    assert {(entry["origin"], entry["api_key"]) for entry in asked} == {("https://o", "k")}


def test_a_pattern_of_origins_is_asked_by_one_that_it_covers() -> None:
    assert to_ask([OLLAMA], ollama_origins=["*"])[0]["origin"] == "https://client.invalid"
    assert to_ask([OLLAMA], ollama_origins=["https://*.example"])[0]["origin"] == "https://1.example"


def test_from_the_controller_the_address_of_the_network_is_asked() -> None:
    assert [entry["url"] for entry in to_ask(BOTH, address="h20-01")] == ["http://h20-01:11434", "http://h20-01:8080"]


def test_a_problem_among_several_names_its_model_and_address_once() -> None:
    error = Problem("http://h:1: r1 is gone.", "Run again.")
    assert named(error, "http://h:1", "r1") is error
    assert named(Problem("It broke off.", ""), "http://h:1", "r1").problem == "r1 at http://h:1: It broke off."
    assert named(Problem("r1 broke off.", ""), "http://h:1", "r1").problem == "http://h:1: r1 broke off."


def test_several_problems_are_a_line_each_with_what_to_do() -> None:
    first, second = Problem("A is wrong.", "Mend A."), Problem("B is wrong.", "Mend B.")
    assert together([first]) is first
    assert together([first, second]).problem == "A is wrong. Mend A.\nB is wrong. Mend B."
