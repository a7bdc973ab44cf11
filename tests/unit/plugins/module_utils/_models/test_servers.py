# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any, Dict, List, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._models.declaration import declare
from ansible_collections.gguf.fleet.plugins.module_utils._models.servers import llama_cpp_servers


def model(name: str, engine: str = "llama_cpp", layout: str = "shards", port: Optional[int] = None) -> Dict[str, Any]:
    return {"name": name, "engine": engine, "layout": layout, "host": None, "port": port, "parameters": {}}


def test_each_model_of_llama_cpp_gets_a_server_on_a_port_of_its_own() -> None:
    declared = [model("a", port=8081), model("o", engine="ollama"), model("b"), model("c", layout="merged")]
    downloads: List[Dict[str, Any]] = [{"paths": ["/a-1", "/a-2"]}, {"path": "/o"}, {"paths": ["/b-1"]}, {"path": "/c"}]
    servers = llama_cpp_servers(declared, downloads, "127.0.0.1", {})
    assert [(server["name"], server["model"], server["port"]) for server in servers] == [
        ("a", "/a-1", 8081),
        ("b", "/b-1", 8080),
        ("c", "/c", 8082),
    ]
    assert {server["host"] for server in servers} == {"127.0.0.1"}


def test_declared_parameters_go_over_those_of_the_plan() -> None:
    declared = [{**model("a"), "parameters": {"ctx-size": 8192}}]
    placement = {"a": {"llama_cpp": {"parameters": {"ctx-size": 4096, "n-gpu-layers": 62}}}}
    (server,) = llama_cpp_servers(declared, [{"paths": ["/a-1"]}], "127.0.0.1", placement)
    assert server["parameters"] == {"ctx-size": 8192, "n-gpu-layers": 62}


def test_a_key_comes_in_again_for_its_own_server_alone() -> None:
    entries: List[Dict[str, Any]] = [
        {
            "name": "a",
            "engine": "llama_cpp",
            "source": {"repo": "x/a"},
            "parameters": {"api_key": "k1", "ctx-size": 8192},
        },
        {"name": "b", "engine": "llama_cpp", "source": {"repo": "x/b"}},
    ]
    declared = declare(entries, {})
    assert "k1" not in str(declared)
    servers = llama_cpp_servers(declared, [{"paths": ["/a-1"]}, {"paths": ["/b-1"]}], "127.0.0.1", {}, entries)
    assert [server["parameters"] for server in servers] == [{"ctx-size": 8192, "api_key": "k1"}, {}]
