# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.filter.llama_server_command import llama_server_command
from ansible_collections.gguf.fleet.plugins.filter.llama_server_environment import llama_server_environment

NEW = 11669


def server(parameters: dict[str, Any]) -> dict[str, Any]:
    return {"name": "r1", "model": "/m.gguf", "parameters": parameters}


MOVED = [
    ({"api-key": "k1"}, {"LLAMA_API_KEY": "k1"}),
    ({"api_key": "k1"}, {"LLAMA_API_KEY": "k1"}),
    ({"--api-key": "k1"}, {"LLAMA_API_KEY": "k1"}),
    ({"api-key": ["k1", "k2"]}, {"LLAMA_API_KEY": "k1,k2"}),
    ({"api-key": "k1, k2"}, {"LLAMA_API_KEY": "k1,k2"}),
    ({"hf-token": "hf_x"}, {"HF_TOKEN": "hf_x"}),
    ({"hft": "hf_x"}, {"HF_TOKEN": "hf_x"}),
]


@pytest.mark.parametrize(("parameters", "variables"), MOVED)
def test_a_key_goes_by_the_environment_and_not_by_the_command_line(
    parameters: dict[str, Any], variables: dict[str, str]
) -> None:
    declared = server({**parameters, "ctx-size": 512})
    assert llama_server_environment(declared, {"A": "b"}, NEW) == {"A": "b", **variables}
    command = llama_server_command(declared, "ls", NEW)
    assert command[-2:] == ["--ctx-size", "512"]
    assert not any(word.strip() in " ".join(command) for word in ("k1", "k2", "hf_x", "api-key", "hf-token"))


COMMON = {"LLAMA_API_KEY": "all"}


def test_a_server_s_own_key_wins_over_the_one_of_all() -> None:
    assert llama_server_environment(server({"api-key": "own"}), COMMON, NEW) == {"LLAMA_API_KEY": "own"}
    assert llama_server_environment(server({}), COMMON, NEW) == COMMON


REFUSED = [
    ({"model-url": "https://user:s3cr3t@host/m.gguf"}, "LLAMA_ARG_MODEL_URL"),
    ({"some-password": "s3cr3t"}, "llama_cpp_environment"),
    ({"rpc-token": ["a", "s3cr3t"]}, "llama_cpp_environment"),
    ({"api-key": "s3cr3t with a blank"}, "header"),
    ({"api-key": 's3cr3t"'}, "header"),
]


@pytest.mark.parametrize(("parameters", "way_out"), REFUSED)
def test_a_secret_that_cannot_go_unseen_is_refused_without_showing_it(parameters: dict[str, Any], way_out: str) -> None:
    declared = server(parameters)
    with pytest.raises(AnsibleFilterError, match=way_out) as command:
        llama_server_command(declared, "ls", NEW)
    with pytest.raises(AnsibleFilterError, match=way_out) as variables:
        llama_server_environment(declared, {}, NEW)
    assert "s3cr3t" not in f"{command.value} {variables.value}"


def test_several_keys_need_a_build_that_takes_them() -> None:
    with pytest.raises(AnsibleFilterError, match="api-key-file"):
        llama_server_environment(server({"api-key": ["k1", "k2"]}), {}, 4610)
    assert llama_server_environment(server({"api-key": "k1"}), {}, 4610) == {"LLAMA_API_KEY": "k1"}


def test_a_file_with_keys_is_no_secret() -> None:
    assert "--api-key-file" in llama_server_command(server({"api-key-file": "/etc/keys"}), "ls", NEW)
