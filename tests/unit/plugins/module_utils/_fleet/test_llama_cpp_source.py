# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A source of llama.cpp that says too little is refused in the declaration."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.llama_cpp_source import version_of
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.problem import DeclarationProblem
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.variables import Variables

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
        {"llama_cpp_source": "release", "llama_cpp_version": "b4610", "llama_cpp_release_assets": "auto"},
        {"llama_cpp_source": "release", "llama_cpp_version": "b4610"},
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
        (
            {"llama_cpp_source": "release", "llama_cpp_version": "b4610", "llama_cpp_release_assets": []},
            "auto, or the archive for this system",
        ),
        (
            {"llama_cpp_source": "release", "llama_cpp_version": "b1\n", "llama_cpp_release_assets": [ASSET]},
            "llama_cpp_source is release, which needs",
        ),
        ({"llama_cpp_source": "packages"}, "There are package, release, source and path"),
    ],
)
def test_a_source_that_says_too_little_is_refused_with_what_it_needs(variables: dict[str, Any], words: str) -> None:
    with pytest.raises(DeclarationProblem, match=words):
        describe(**variables)


OLD: dict[str, Any] = {"llama_cpp_source": "release", "llama_cpp_version": "b8200", "llama_cpp_release_assets": [ASSET]}
SERVER = {"name": "r1", "model": "/srv/r1.gguf"}
MODEL = {"name": "r1", "engine": "llama_cpp", "source": {"hub": "path", "path": "/srv/r1"}}
VULNERABLE: dict[str, dict[str, Any]] = {
    "a server by hand": {"llama_cpp_version": "b4610", "llama_cpp_servers": [SERVER]},
    "a declared model": {"llama_cpp_version": "b4610", "models_serve": [MODEL]},
    "a worker of RPC": {"llama_cpp_rpc": {"host": "10.0.0.1"}},
    "a head of RPC": {"llama_cpp_servers": [{**SERVER, "parameters": {"rpc": "10.0.0.1:50052"}}]},
}


@pytest.mark.parametrize("variables", [{**OLD, **given} for given in VULNERABLE.values()], ids=VULNERABLE)
def test_a_release_with_known_remote_holes_is_refused_where_it_serves(variables: dict[str, Any]) -> None:
    with pytest.raises(DeclarationProblem, match=r"has known remote holes: CVE-2026-(27940|34159)"):
        describe(**variables)
    describe(**variables, llama_cpp_allow_vulnerable=True)


SOURCE: dict[str, Any] = {"llama_cpp_source": "source", "llama_cpp_version": "b11434"}
ARCHIVE: dict[str, Any] = {**SOURCE, "llama_cpp_source_archive": "a.tar.gz", "llama_cpp_source_sha256": "a" * 64}
LACKING = [
    ({"llama_cpp_version": ""}, r"needs llama_cpp_version \(a tag such as b11434\)"),
    ({"llama_cpp_version": "--upload-pack=x"}, "needs llama_cpp_version"),
    ({"llama_cpp_source_archive": "a.tar.gz"}, "needs llama_cpp_source_sha256"),
    ({"llama_cpp_source_url": ""}, "needs llama_cpp_source_url"),
    ({"llama_cpp_build_targets": ["llama-bench"]}, "does not name llama-server"),
]


def version(**variables: Any) -> str:
    return str(version_of(Variables(variables)))


@pytest.mark.parametrize(("variables", "words"), LACKING)
def test_a_build_that_is_told_too_little_is_refused(variables: dict[str, Any], words: str) -> None:
    describe(**SOURCE)
    describe(**ARCHIVE)
    with pytest.raises(DeclarationProblem, match=words):
        describe(**{**SOURCE, **variables})


def test_a_build_of_an_unknown_number_does_not_serve_and_is_there_for_its_file_tools() -> None:
    tagged = {**ARCHIVE, "llama_cpp_version": "v0.6.0"}
    describe(**tagged)
    with pytest.raises(DeclarationProblem, match="does not say its build number"):
        describe(**tagged, llama_cpp_servers=[SERVER])
    describe(**tagged, llama_cpp_servers=[SERVER], llama_cpp_build_number=11434)
    with pytest.raises(DeclarationProblem, match="b8000 has known remote holes"):
        describe(**{**SOURCE, "llama_cpp_version": "b8000"}, llama_cpp_servers=[SERVER])


def test_what_is_built_otherwise_has_another_directory() -> None:
    assert version(**SOURCE).startswith("b11434-")
    others = [
        SOURCE,
        {**SOURCE, "llama_cpp_source_url": "https://git.example/llama.cpp"},
        {**SOURCE, "llama_cpp_build_options": {"GGML_LTO": "ON"}},
        {**SOURCE, "llama_cpp_build_targets": ["llama-server"]},
        {**SOURCE, "llama_cpp_build_native": False},
        {**SOURCE, "llama_cpp_build_number": 11435},
        ARCHIVE,
        {**ARCHIVE, "llama_cpp_source_sha256": "b" * 64},
    ]
    assert len({version(**variables) for variables in others}) == len(others)
    assert version(**ARCHIVE) == version(**{**ARCHIVE, "llama_cpp_source_archive": "elsewhere/b.tar.gz"})
    assert version(llama_cpp_source="release", llama_cpp_version="b11434") == "b11434"


def test_an_old_release_is_there_for_its_file_tools() -> None:
    describe(**{**OLD, "llama_cpp_version": "b4610"})


def test_a_host_without_llama_cpp_needs_no_source() -> None:
    describe_fleet({"h": {"llama_cpp_source": "path"}}, {}, {})


def test_a_setting_of_ollama_that_may_be_secret_is_judged_too() -> None:
    proxy = {"HTTPS_PROXY": "http://user:planted@proxy.example:3128"}
    with pytest.raises(DeclarationProblem, match="HTTPS_PROXY holds a user or a password") as refused:
        describe_fleet({"h": {"fleet_engines": ["ollama"], "ollama_environment": proxy}}, {}, {})
    assert "planted" not in str(refused.value)
