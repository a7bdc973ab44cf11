# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's models mean for the modules that fetch and register them."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import declare
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.files import downloads, files_in_use, ollama_models
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.judging import placed


def declared(*entries: Dict[str, Any]) -> Any:
    return declare([{"source": {"repo": "o/r", "quant": "Q4"}, **entry} for entry in entries], {})


def test_each_model_is_fetched_in_its_layout_with_the_token_of_its_hub() -> None:
    lock = {"hub": "modelscope", "repo": "o/r", "files": [{"path": "m-Q4-00001-of-00002.gguf"}]}
    plain = {**lock, "hub": "url", "repo": None}
    models = declared({"name": "a"}, {"name": "b", "engine": "llama_cpp"})
    first, second = downloads(models, {"o/r:Q4": lock}, "/models", {"default": "d", "modelscope": "m"})
    assert (first["dest"], first["layout"], first["token"]) == ("/models/o--r/m-Q4.gguf", "merged", "m")
    assert (second["dest"], second["layout"]) == ("/models/o--r/m-Q4", "shards")
    (other,) = downloads(models[:1], {"o/r:Q4": plain}, "/models", {"default": "", "modelscope": "m"})
    assert "token" not in other


def test_ollamas_models_get_their_files_and_declared_parameters_go_over_planned_ones() -> None:
    models = declared(
        {"name": "x", "engine": "llama_cpp"},
        {"name": "a", "parameters": {"num_ctx": 1}, "license": "MIT, without more", "keep_alive": -1},
    )
    plans = {"a": {"ollama": {"parameters": {"num_ctx": 2, "num_gpu": 3}}}}
    servers = [{"url": "http://first", "models": ["b"]}, {"url": "http://second", "models": ["a"]}]
    host = {"models": models, "engines": {"ollama": {"servers": servers}}}
    (one,) = ollama_models(host, [{"path": "/x"}, {"path": "/a"}], plans)
    assert one == {
        "name": "a",
        "file": "/a",
        "parameters": {"num_ctx": 1, "num_gpu": 3},
        "host": "http://second",
        "license": ["MIT, without more"],
        "keep_alive": "-1",
    }


def test_a_model_with_instances_names_the_server_of_each() -> None:
    (model,) = declared({"name": "a", "replicas": 3})
    servers = [{"url": f"http://{number}", "models": ["a"]} for number in range(3)]
    host = {"models": [model], "engines": {"ollama": {"servers": servers}}}
    (one,) = ollama_models(host, [{"path": "/a"}], {})
    assert (one["host"], one["also_on"]) == ("http://0", ["http://1", "http://2"])


def test_files_of_declared_models_and_of_servers_by_hand_are_in_use() -> None:
    files = [{"paths": ["/a-1", "/a-2"]}, {"paths": ["/b"]}]
    assert files_in_use(files, [{"model": "/b"}, {"model": "/c"}, {"rpc": 1}]) == ["/a-1", "/a-2", "/b", "/c"]


def test_judged_plans_stand_in_the_place_of_computed_ones() -> None:
    plan = {"plans": {"a": 1, "b": 2}, "instances": ["i"]}
    assert placed(plan, {"plans": {"b": 3}}) == {"plans": {"a": 1, "b": 3}, "instances": ["i"]}
    assert placed(plan, {"skipped": True}) == plan
