# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.filter.llama_server_command import llama_server_command

OLD, BETWEEN, NEW = 4610, 10000, 11669


def arguments(parameters: dict[str, Any], build: int = NEW, **server: Any) -> list[str]:
    command = llama_server_command({"name": "r1", "model": "/m.gguf", "parameters": parameters, **server}, "ls", build)
    assert command[:4] == ["ls", "--model", "/m.gguf", "--alias"]
    assert command[4] == server.get("alias", "r1"), "or llama-server calls the model by its file's path"
    return command[5:]


def test_address_and_port_are_always_passed_because_the_default_changes() -> None:
    assert arguments({}) == ["--host", "127.0.0.1", "--port", "8080"]
    assert arguments({}, host="0.0.0.0", port=9000, alias="r2") == ["--host", "0.0.0.0", "--port", "9000"]


PARAMETERS = [
    ({"n-gpu-layers": 62}, ["--n-gpu-layers", "62"]),
    ({"n_gpu_layers": 62}, ["--n-gpu-layers", "62"]),
    ({"--ctx-size": 2048}, ["--ctx-size", "2048"]),
    ({"c": 2048}, ["-c", "2048"]),
    ({"metrics": True, "no-warmup": False}, ["--metrics"]),
    ({"override-tensor": ["a=CPU", "b=CUDA0"]}, ["--override-tensor", "a=CPU", "--override-tensor", "b=CUDA0"]),
    ({"tensor-split": None}, []),
]


@pytest.mark.parametrize(("parameters", "expected"), PARAMETERS)
def test_options_have_llama_server_s_own_names(parameters: dict[str, Any], expected: list[str]) -> None:
    assert arguments(parameters)[4:] == expected


LOAD = [
    ({"mlock": True}, ["--mlock"], ["--load-mode", "mmap+mlock"]),
    ({"mlock": True, "no-mmap": True}, ["--no-mmap", "--mlock"], ["--load-mode", "mlock"]),
    ({"no-mmap": True}, ["--no-mmap"], ["--load-mode", "none"]),
    ({"direct-io": True}, ["--direct-io"], ["--load-mode", "dio"]),
    ({"load-mode": "mlock"}, ["--no-mmap", "--mlock"], ["--load-mode", "mlock"]),
    ({"load-mode": "auto"}, [], ["--load-mode", "auto"]),
]


@pytest.mark.parametrize(("parameters", "old", "new"), LOAD)
def test_how_a_model_is_read_is_said_in_the_build_s_words(
    parameters: dict[str, Any], old: list[str], new: list[str]
) -> None:
    assert arguments(parameters, OLD)[4:] == old
    assert arguments(parameters, BETWEEN)[4:] == old
    assert arguments(parameters, NEW)[4:] == new
    assert arguments(parameters, 0)[4:] == new


FLASH = [(True, ["--flash-attn"], ["--flash-attn", "on"]), ("auto", [], ["--flash-attn", "auto"])]


@pytest.mark.parametrize(("value", "old", "new"), FLASH)
def test_flash_attention_takes_a_value_only_where_it_may(value: Any, old: list[str], new: list[str]) -> None:
    assert arguments({"flash-attn": value}, OLD)[4:] == old
    assert arguments({"flash-attn": value}, NEW)[4:] == new


@pytest.mark.parametrize("parameters", [{"port": 1}, {"host": "::"}, {"m": "/x"}, {"load-mode": "fast"}])
def test_what_cannot_be_meant_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(AnsibleFilterError):
        arguments(parameters)
