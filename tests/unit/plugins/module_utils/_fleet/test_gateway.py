# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateways of a fleet: what is declared, what is behind them, and what is refused."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import DeclarationProblem

R1 = {"name": "R1", "source": {"repo": "o/r", "quant": "Q4"}}
R1_LATEST = {"name": "r1:latest", "source": {"repo": "o/r", "quant": "Q8"}}
SMALL = {"name": "small", "source": {"repo": "o/s", "quant": "Q4"}}
GATEWAY: Dict[str, Any] = {"group_names": ["gateway"], "gateway_name": "llm.example.com"}
KEY = "k" * 32


def fleet(**hosts: Dict[str, Any]) -> Dict[str, Any]:
    return describe_fleet(hosts, {}, {}).as_dict()


def refused(**hosts: Dict[str, Any]) -> str:
    with pytest.raises(DeclarationProblem) as error:
        fleet(**hosts)
    assert KEY not in str(error.value)
    return str(error.value)


def gateway(**variables: Any) -> Dict[str, Any]:
    return {**GATEWAY, **{f"gateway_{name}": value for name, value in variables.items()}}


def test_without_the_group_there_is_no_gateway_and_nothing_behind_one() -> None:
    found = fleet(a={"models_serve": [R1], "gateway_name": "llm.example.com"})
    assert (found["gateways"], found["instances"]) == ({}, [])
    assert not found["hosts"]["a"]["gateway"]


def test_a_gateway_knows_the_servers_of_all_hosts_with_their_slots() -> None:
    found = fleet(
        gw=gateway(clients=[{"name": "chat"}]),
        a={"models_serve": [R1, SMALL], "ollama_environment": {"OLLAMA_NUM_PARALLEL": "3"}, "ansible_host": "10.0.0.1"},
        b={
            "models_serve": [{**R1, "parameters": {"parallel": 4}}],
            "models_engine": "llama_cpp",
            "llama_cpp_rpc": {"host": "10.0.0.2"},
            "gateway_door_port": 9443,
        },
    )
    assert found["gateways"]["gw"]["url"] == "https://llm.example.com"
    assert [
        (one["host"], one["server"], one["address"], one["slots"], one["door_port"]) for one in found["instances"]
    ] == [
        ("a", "ollama", "10.0.0.1", {"R1": 3, "small": 3}, 8443),
        ("b", "llama-cpp-R1", "b", {"R1": 4}, 9443),
    ]
    assert found["hosts"]["gw"]["only_gateway"]


def test_a_host_with_models_is_not_only_a_gateway() -> None:
    both = fleet(a={**GATEWAY, "models_serve": [R1]})["hosts"]["a"]
    assert (both["gateway"], both["only_gateway"]) == (True, False)


def test_no_key_is_in_the_value() -> None:
    clients = [{"name": "a", "key": KEY}, {"name": "b", "key_sha256": "ab" * 32}]
    found = str(fleet(gw=gateway(clients=clients)))
    assert KEY not in found
    assert "ab" * 32 not in found


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"name": ""}, "gateway_name is empty"),
        ({"name": "https://llm.example.com"}, "without https://"),
        ({"transport": "http"}, "There are mtls and plain"),
        ({"port": "many"}, "gateway_port is 'many'"),
        ({"max_body_bytes": 1}, "gateway_max_body_bytes"),
        ({"origins": ["chat.example.com"]}, "such as https://chat.example.com"),
        ({"clients": [{"name": "a b"}]}, "entry 1 has no name"),
        ({"clients": [{"name": "a"}, {"name": "a"}]}, "is there twice"),
        ({"clients": [{"name": "a", "keys": 1}]}, "there is no setting 'keys'"),
        ({"clients": [{"name": "a", "key": "short"}]}, "has 5 characters. Give at least 32"),
        ({"clients": [{"name": "a", "key": KEY + "\n"}]}, "do not go into a header"),
        ({"clients": [{"name": "a", "key_sha256": "1"}]}, "64 hexadecimal digits"),
        ({"clients": [{"name": "a", "key": KEY, "key_sha256": "ab" * 32}]}, "both given"),
        ({"clients": [{"name": "a", "key": KEY}, {"name": "b", "key": KEY}]}, "have one key"),
        ({"clients": [{"name": "a", "requests_per_minute": "lots"}]}, "requests_per_minute is 'lots'"),
        ({"clients": [{"name": "a", "models": "r1"}]}, "Give a list"),
        ({"clients": [{"name": "a", "models": ["nobody"]}]}, "no host serves nobody"),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_reason(variables: Dict[str, Any], words: str) -> None:
    assert words in refused(gw=gateway(**variables), a={"models_serve": [R1]})


def test_two_files_by_one_name_are_refused_also_where_only_the_tag_or_the_case_differs() -> None:
    words = "One name is one quant"
    assert words in refused(gw=gateway(), a={"models_serve": [R1]}, b={"models_serve": [R1_LATEST]})
    by_hand = {"llama_cpp_servers": [{"name": "x", "alias": "r1", "model": "/srv/other.gguf"}]}
    assert words in refused(gw=gateway(), a={"models_serve": [R1]}, b=by_hand)
    fleet(a={"models_serve": [R1]}, b={"models_serve": [R1_LATEST]})


def test_models_of_a_client_are_refused_where_an_instance_could_serve_another_one() -> None:
    only_r1 = gateway(clients=[{"name": "guest", "models": ["r1"]}])
    said = refused(gw=only_r1, a={"models_serve": [R1, SMALL]})
    assert "guest: models cannot be kept: R1 is served by Ollama on a, whose store has small" in said
    fleet(gw=only_r1, a={"models_serve": [R1]})
    fleet(gw=only_r1, a={"models_serve": [R1, SMALL], "models_engine": "llama_cpp"})
    fleet(gw=gateway(clients=[{"name": "guest", "models": ["r1", "small"]}]), a={"models_serve": [R1, SMALL]})


def test_an_engine_that_a_gateway_cannot_reach_without_a_door_is_refused() -> None:
    plain = gateway(transport="plain")
    assert "which the gateway cannot reach" in refused(gw=plain, a={"models_serve": [R1]})
    fleet(gw=plain, a={"models_serve": [R1], "ollama_host": "10.0.0.1:11434"})
    fleet(a={**plain, "models_serve": [R1]})


@pytest.mark.parametrize(
    ("listens", "address", "is_fine"),
    [
        ("172.31.0.1:11434", "gpu.example.com", True),
        ("[fd00::1]:11434", "gpu.example.com", True),
        ("0.0.0.0:11434", "192.168.1.1", True),
        ("172.32.0.1:11434", "10.0.0.1", False),
        ("[2001:db8::1]:11434", "10.0.0.1", False),
        ("0.0.0.0:11434", "203.0.113.1", False),
        # Nobody can say here where a name leads, nor which addresses there are.
        ("0.0.0.0:11434", "gpu.example.com", False),
        ("gpu.example.com:11434", "10.0.0.1", False),
    ],
)
def test_without_tls_engines_are_on_private_addresses_only(listens: str, address: str, is_fine: bool) -> None:
    hosts = {
        "gw": gateway(transport="plain"),
        "a": {"models_serve": [R1], "ollama_host": listens, "ansible_host": address},
    }
    if is_fine:
        fleet(**hosts)
    else:
        assert "which is no private address" in refused(**hosts)


def slots(**host: Any) -> Dict[str, int]:
    (instance,) = fleet(gw=gateway(), a=host)["instances"]
    found: Dict[str, int] = instance["slots"]
    return found


def test_slots_that_nobody_declares_are_those_of_the_plan_or_of_the_version() -> None:
    assert slots(models_serve=[R1], ollama_version="0.33.2") == {"R1": 1}
    assert slots(models_serve=[R1], ollama_version="0.9.6") == {"R1": 4}
    assert slots(models_serve=[R1], ollama_version="0.9.6", ollama_environment={"OLLAMA_NUM_PARALLEL": "2"})["R1"] == 2
    served = {"models_serve": [R1], "models_engine": "llama_cpp"}
    release = {"llama_cpp_source": "release", "llama_cpp_version": "b11434"}
    assert slots(**served, **release) == {"R1": 1}
    assert slots(**served, **release, models_plan="off") == {"R1": 4}
    assert slots(**served, models_plan="off", llama_cpp_source="package") == {"R1": 1}
    by_hand = [{"name": "x", "model": "/m/x.gguf", "alias": "x"}]
    assert slots(llama_cpp_servers=by_hand, **release) == {"x": 4}
    assert slots(llama_cpp_servers=[{**by_hand[0], "parameters": {"parallel": 2}}], **release) == {"x": 2}


@pytest.mark.parametrize(
    "own",
    [
        {"llama_cpp_environment": {"LLAMA_API_KEY": KEY}},
        {"models_serve": [{**R1, "parameters": {"api-key-file": "/etc/keys"}}]},
        {"llama_cpp_servers": [{"name": "x", "model": "/m/x.gguf", "port": 8081, "parameters": {"api_key": KEY}}]},
    ],
)
def test_a_llama_server_with_a_key_of_its_own_is_refused_behind_a_gateway(own: Dict[str, Any]) -> None:
    host = {"models_engine": "llama_cpp", "models_serve": [R1], **own}
    assert fleet(b=host)["hosts"]["b"]
    assert "b: llama.cpp asks for a key of its own" in refused(gw=gateway(), b=host)
