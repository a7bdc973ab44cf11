# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any, Dict, List, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.replicas import on_one_server
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.servers import (
    llama_cpp_servers,
    ports_of,
    visible_cards,
)


def model(name: str, engine: str = "llama_cpp", layout: str = "shards", port: Optional[int] = None) -> Dict[str, Any]:
    own: Dict[str, Any] = {"host": None, "port": port, "parameters": {}, "replicas": None, "gpus": []}
    return {"name": name, "engine": engine, "layout": layout, **own}


def listening(*ports: int) -> List[Dict[str, Any]]:
    return [
        {"models": [name], "by_hand": False, "instance": name, "listen": {"host": "127.0.0.1", "port": port}}
        for name, port in zip("abc", ports)
    ]


def test_ports_are_given_out_in_the_order_of_declaration() -> None:
    assert ports_of([model("a", port=8081), model("b"), model("c"), model("d")], {}) == [[8081], [8080], [8082], [8083]]


def on_a_host(models: List[Dict[str, Any]], servers: List[Dict[str, Any]]) -> Dict[str, Any]:
    return {"models": models, "engines": {"llama_cpp": {"servers": servers}}}


def test_further_instances_take_the_next_free_ports_and_move_nobodys() -> None:
    several = [{**model("a"), "replicas": 3}, {**model("b"), "replicas": "max"}, model("c", port=8082)]
    assert ports_of(several, {"b": 2}) == [[8080, 8083, 8084], [8081, 8085], [8082]]
    assert ports_of(several, {}) == [[8080, 8083, 8084], [8081], [8082]], "one, as long as it is not known"


def test_each_instance_gets_its_server_its_cards_and_its_numbers() -> None:
    servers = [
        {"models": ["a"], "by_hand": False, "instance": name, "listen": {"host": "127.0.0.1", "port": port}}
        for name, port in (("a", 8080), ("a-2", 8081))
    ]
    planned = {
        "plans": {"a-2": {"llama_cpp": {"parameters": {"n-gpu-layers": 7}}}},
        "instances": [{"name": "a", "gpus": ["GPU-1"]}, {"name": "a-2", "gpus": ["2", "3"]}],
    }
    first, second = llama_cpp_servers(on_a_host([model("a")], servers), [{"paths": ["/a"]}], planned)
    assert (first["name"], first["alias"], first["port"], first["gpus"]) == ("a", "a", 8080, ["GPU-1"])
    assert (second["name"], second["alias"], second["port"], second["gpus"]) == ("a-2", "a", 8081, ["2", "3"])
    assert (first["parameters"], second["parameters"]) == ({}, {"n-gpu-layers": 7})


def test_cards_by_index_are_those_of_the_bus() -> None:
    assert visible_cards([]) == {}
    assert visible_cards(["GPU-1", "GPU-2"]) == {"CUDA_VISIBLE_DEVICES": "GPU-1,GPU-2"}
    assert visible_cards(["2", "3"]) == {"CUDA_VISIBLE_DEVICES": "2,3", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def test_each_model_of_llama_cpp_gets_a_server_on_a_port_of_its_own() -> None:
    declared = [model("a", port=8081), model("o", engine="ollama"), model("b"), model("c", layout="merged")]
    downloads: List[Dict[str, Any]] = [{"paths": ["/a-1", "/a-2"]}, {"path": "/o"}, {"paths": ["/b-1"]}, {"path": "/c"}]
    servers = llama_cpp_servers(on_a_host(declared, listening(8081, 8080, 8082)), downloads, {})
    assert [(server["name"], server["model"], server["port"]) for server in servers] == [
        ("a", "/a-1", 8081),
        ("b", "/b-1", 8080),
        ("c", "/c", 8082),
    ]
    assert {server["host"] for server in servers} == {"127.0.0.1"}


def test_declared_parameters_go_over_those_of_the_plan() -> None:
    declared = [{**model("a"), "parameters": {"ctx-size": 8192}}]
    placement = {"a": {"llama_cpp": {"parameters": {"ctx-size": 4096, "n-gpu-layers": 62}}}}
    (server,) = llama_cpp_servers(on_a_host(declared, listening(8080)), [{"paths": ["/a-1"]}], {"plans": placement})
    assert server["parameters"] == {"ctx-size": 8192, "n-gpu-layers": 62}


def test_a_secret_comes_from_the_declaration_since_the_fleet_value_holds_none() -> None:
    entries = [{"name": "a", "parameters": {"api-key": "sk-1", "ctx-size": 1}}]
    host = on_a_host([{**model("a"), "parameters": {"ctx-size": 1}}], listening(8080))
    (server,) = llama_cpp_servers(host, [{"paths": ["/a"]}], {}, entries)
    assert server["parameters"] == {"ctx-size": 1, "api-key": "sk-1"}


def test_models_on_one_server_have_neither_instances_nor_cards_of_their_own() -> None:
    entries = [{"name": "a", "replicas": "max", "parameters": {"num_ctx": 1}}, {"name": "b", "gpus": ["0"]}, "wrong"]
    assert on_one_server(entries) == [{"name": "a", "parameters": {"num_ctx": 1}}, {"name": "b"}, "wrong"]
