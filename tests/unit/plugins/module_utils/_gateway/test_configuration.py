# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway's files, computed from the fleet value. What HAProxy makes of them is in tests/attacks/gateway."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.clients import (
    ollama_list,
    openai_list,
    without_digests,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.configuration import gateway_files
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.fragments import ConfigurationProblem, quoted
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.names import server_of
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.report import report
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.routes import routes_of

R1 = {"name": "R1", "source": {"repo": "o/r", "quant": "Q4"}}
SMALL = {"name": "small:7b", "source": {"repo": "o/s", "quant": "Q4"}}
CLIENTS: List[Dict[str, Any]] = [
    {"name": "full", "native_api": True, "requests_per_minute": 60, "requests_at_once": 4},
    {"name": "guest", "models": ["small:7b"]},
]


def fleet(*clients: Dict[str, Any], **variables: Any) -> Dict[str, Any]:
    own = {f"gateway_{name}": value for name, value in variables.items()}
    gateway = {"group_names": ["gateway"], "gateway_name": "llm.example.com", "gateway_clients": list(clients), **own}
    hosts = {
        "gw": gateway,
        "a": {"models_serve": [R1], "ollama_environment": {"OLLAMA_NUM_PARALLEL": "3"}, "ansible_host": "2001:db8::1"},
        "b": {
            "models_serve": [{**R1, "parameters": {"parallel": 2}}, SMALL],
            "models_engine": "llama_cpp",
            "ansible_host": "10.0.0.2",
        },
    }
    if variables.get("transport") == "plain":
        hosts["a"].update(ollama_host="[::]:11434", ansible_host="fd00::1")
        hosts["b"].update(models_llama_cpp_host="0.0.0.0")
    return describe_fleet(hosts, {}, {}).as_dict()


def lines_of(value: Dict[str, Any], word: str) -> List[str]:
    text = gateway_files(value, "gw", {})["files"]["haproxy.cfg"]
    return [line.strip() for line in text.splitlines() if line.strip().startswith(word)]


def test_each_instance_has_its_slots_and_is_reached_by_its_names_alone() -> None:
    servers = lines_of(fleet(), "server ")
    small = server_of("b", "llama-cpp-small:7b")
    assert [line.split(" init-addr ")[0] for line in servers] == [
        "server a_ollama [2001:db8::1]:8443",
        f"server {server_of('b', 'llama-cpp-R1')} 10.0.0.2:8443",
        f"server {server_of('b', 'llama-cpp-R1')} 10.0.0.2:8443",
        f"server {small} 10.0.0.2:8443",
    ]
    assert "maxconn 3" in servers[0]
    assert "maxconn 2" in servers[1]
    assert all("verify required" in line for line in servers)
    assert "verifyhost a.door.gguf-fleet.internal sni str(ollama.a.instance.gguf-fleet.internal)" in servers[0]


def test_an_engine_of_another_kind_behind_one_name_is_asked_in_its_own_way() -> None:
    assert [line.split()[5] for line in lines_of(fleet(), "http-check send")] == ["/v1/models/R1", "/health", "/health"]
    assert " track ready_model_" in lines_of(fleet(), "server ")[1]


def test_a_name_that_is_no_word_of_a_path_is_not_asked_for_by_its_path() -> None:
    odd = {"name": "hf.co/o/r", "source": {"repo": "o/r", "quant": "Q4"}}
    gateway = {"group_names": ["gateway"], "gateway_name": "llm.example.com"}
    value = describe_fleet({"gw": gateway, "a": {"models_serve": [odd]}}, {}, {}).as_dict()
    assert [line.split()[5] for line in lines_of(value, "http-check send")] == ["/api/ps"]


def test_only_what_is_always_in_memory_is_asked_for_there() -> None:
    served = {"models_serve": [{**R1, "keep_alive": "-1"}, {**SMALL, "keep_alive": "24h"}]}
    gateway = {"group_names": ["gateway"], "gateway_name": "llm.example.com"}
    value = describe_fleet({"gw": gateway, "a": served, "b": {"models_serve": [R1]}}, {}, {}).as_dict()
    assert [line.split()[5] for line in lines_of(value, "http-check send")] == [
        "/api/ps",
        "/v1/models/R1",
        "/v1/models/small:7b",
    ]
    expected = lines_of(value, "http-check expect")
    assert expected[0] == """http-check expect rstring '"name":"[rR]1:[lL][aA][tT][eE][sS][tT]"'"""
    assert set(expected[1:]) == {"http-check expect status 200"}
    # The other host's check is one of its own.
    assert " track ready_model_r1_b_ollama/b_ollama" in lines_of(value, "server ")[1]


def test_each_server_of_a_host_loads_what_is_always_in_memory_and_is_asked_for_it() -> None:
    gateway = {"group_names": ["gateway"], "gateway_name": "llm.example.com"}
    served = {"models_serve": [{**R1, "keep_alive": "-1", "replicas": 2}, SMALL]}
    value = describe_fleet({"gw": gateway, "a": served}, {}, {}).as_dict()
    assert [(one["server"], one["resident"]) for one in value["instances"]] == [
        ("ollama", ["R1"]),
        ("ollama-2", ["R1"]),
    ]
    # The one check of the backend holds for both of its servers.
    assert [line.split()[5] for line in lines_of(value, "http-check send")] == ["/api/ps", "/v1/models/small:7b"]
    assert not any(" track " in line for line in lines_of(value, "server "))


def test_without_doors_engines_are_asked_by_plain_http_and_need_no_certificate() -> None:
    plain = fleet(transport="plain")
    servers = lines_of(plain, "server ")
    assert [line.split()[2] for line in servers[:2]] == ["[fd00::1]:11434", "10.0.0.2:8080"]
    assert not any("ssl" in line for line in servers)
    assert any("WARNING: gateway_transport is plain" in line for line in report(plain, "gw", {}))
    found = gateway_files(plain, "gw", {})
    assert [one["file"] for one in found["certificates"]] == ["tls/server.pem"]
    assert [one["usage"] for one in gateway_files(fleet(), "gw", {})["certificates"]] == ["server", "client"]


def test_the_names_of_a_model_lead_to_one_backend() -> None:
    assert gateway_files(fleet(), "gw", {})["files"]["models.map"].splitlines() == [
        "r1 model_r1",
        "r1:latest model_r1",
        f"small:7b {routes_of(fleet(), 'gw')[1].backend}",
    ]


def test_maps_hold_what_each_client_may_and_change_without_a_reload() -> None:
    found = gateway_files(fleet(*CLIENTS), "gw", {"full": "ab" * 32})
    files, backend = found["files"], routes_of(fleet(), "gw")[1].backend
    assert files["clients.map"] == f"{'AB' * 32} full\n"
    assert files["access.map"] == f"full|* 1\nguest|{backend} 1\n"
    assert (files["native.map"], files["per_minute.map"], files["at_once.map"]) == ("full 1\n", "full 60\n", "full 4\n")
    assert "R1" not in next(line for line in files["openai_list.map"].splitlines() if line.startswith("guest "))
    assert set(found["live"]) == set(files) - {"haproxy.cfg", "models.map"}
    without = gateway_files(fleet(), "gw", {})["files"]
    assert {name for name in files if files[name] != without[name]} <= set(found["live"])


def test_a_list_is_one_word() -> None:
    for text in (openai_list(["a b", 'c"d']), ollama_list(["a b"])):
        assert " " not in text
        assert "\n" not in text


def test_a_diff_shows_whose_keys_there_are_and_no_digest() -> None:
    text = gateway_files(fleet(*CLIENTS), "gw", {"full": "ab" * 32})["files"]["clients.map"]
    assert without_digests(text) == "a key, SHA-256 ABAB…, of full\n"
    assert without_digests("") == ""


def test_each_host_is_to_be_reached_once() -> None:
    assert gateway_files(fleet(), "gw", {})["reaches"] == [
        {"host": "a", "address": "2001:db8::1", "port": 8443},
        {"host": "b", "address": "10.0.0.2", "port": 8443},
    ]


def test_a_redirect_is_there_only_when_it_was_asked_for() -> None:
    assert len(lines_of(fleet(), "bind ")) == 1
    assert lines_of(fleet(http_redirect=True), "bind ")[1] == "bind :80"


def test_the_buffer_holds_the_longest_body() -> None:
    (size,) = lines_of(fleet(max_body_bytes=2**20), "tune.bufsize")
    assert int(size.split()[1]) > 2**20


def test_text_stays_one_word_of_a_line() -> None:
    assert quoted('it\'s $HOME "x" \\ #') == "'it'\\''s $HOME \"x\" \\ #'"
    with pytest.raises(ConfigurationProblem):
        quoted("a\nbind :80")


def test_the_report_says_how_clients_are_set_up_and_holds_no_key() -> None:
    files = {"full": "/keys/full.key"}
    text = "\n".join(report(fleet(*CLIENTS, port=8443), "gw", {"files": files}, ["/ca.pem"]))
    for words in (
        "https://llm.example.com:8443/v1",
        "/keys/full.key",
        "timeout=3600, max_retries=0",
        "Cherry Studio: provider OpenAI, API host https://llm.example.com:8443,",
        "Open WebUI: Connections, OpenAI API, https://llm.example.com:8443/v1",
        "R1, small:7b",
        "Certificate to trust: /ca.pem",
        "Limits of clients hold for each gateway alone",
    ):
        assert words in text
    assert "Nobody may ask" in "\n".join(report(fleet(), "gw", {}))
    assert "  Certificates to trust: /ca.pem, /ca-old.pem" in report(fleet(), "gw", {}, ["/ca.pem", "/ca-old.pem"])
