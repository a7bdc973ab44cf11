# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A source of llama.cpp that says too little is refused in the declaration."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.problem import DeclarationProblem

ASSET = "llama-b4610-bin-ubuntu-x64.tar.gz"


def describe(**variables: Any) -> None:
    describe_fleet({"h": {"fleet_engines": ["llama_cpp"], **variables}}, {}, {})


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"llama_cpp_source": "package"},
        {"llama_cpp_source": "path", "llama_cpp_path": "/opt/llama/llama-server"},
        {"llama_cpp_source": "release", "llama_cpp_version": "b4610", "llama_cpp_release_assets": [ASSET]},
    ],
)
def test_a_source_that_says_enough_is_taken(variables: dict[str, Any]) -> None:
    describe(**variables)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"llama_cpp_source": "path"}, "needs llama_cpp_path, the whole path of llama-server"),
        ({"llama_cpp_source": "path", "llama_cpp_path": "llama-server"}, "needs llama_cpp_path"),
        ({"llama_cpp_source": "release", "llama_cpp_release_assets": [ASSET]}, r"a tag such as b4610"),
        ({"llama_cpp_source": "release", "llama_cpp_version": "b4610"}, "the archive for this system"),
        (
            {"llama_cpp_source": "release", "llama_cpp_version": "b1\n", "llama_cpp_release_assets": [ASSET]},
            "llama_cpp_source is release, which needs",
        ),
        ({"llama_cpp_source": "packages"}, "There are package, release and path"),
    ],
)
def test_a_source_that_says_too_little_is_refused_with_what_it_needs(variables: dict[str, Any], words: str) -> None:
    with pytest.raises(DeclarationProblem, match=words):
        describe(**variables)


def test_a_host_without_llama_cpp_needs_no_source() -> None:
    describe_fleet({"h": {"llama_cpp_source": "path"}}, {}, {})


def test_a_setting_of_ollama_that_may_be_secret_is_judged_too() -> None:
    proxy = {"HTTPS_PROXY": "http://user:planted@proxy.example:3128"}
    with pytest.raises(DeclarationProblem, match="HTTPS_PROXY holds a user or a password") as refused:
        describe_fleet({"h": {"fleet_engines": ["ollama"], "ollama_environment": proxy}}, {}, {})
    assert "planted" not in str(refused.value)
