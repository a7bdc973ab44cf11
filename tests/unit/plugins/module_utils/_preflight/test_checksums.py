# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of engines for which nothing vouches are named before a host is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._install import resolve
from ansible_collections.gguf.fleet.plugins.module_utils._preflight import checksums
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.checksums import Release

A = "a" * 64
AMD, ARM = "ollama-linux-amd64.tgz", "ollama-linux-arm64.tgz"
MIRROR: dict[str, Any] = {"source_url": "https://mirror.example/v{version}/{asset}", "trust_mirror": True}


@pytest.fixture(name="published")
def lists(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """What each list has that is asked for, which is then no longer asked again."""
    known: dict[str, dict[str, str]] = {}

    def ask(url: str) -> tuple[dict[str, str], str]:
        return (known.pop(url), "it does not name it.") if url in known else ({}, f"{url} was not to be asked.")

    monkeypatch.setattr(resolve, "published_checksums", ask)
    return known


def ollama(host: str = "one", architecture: str = "amd64", **wanted: Any) -> Release:
    given = {"engine": "ollama", "version": "0.5.7", "source_url": "https://mirror.example/{asset}", **wanted}
    return Release(host, resolve.Wanted(**given), architecture)


def llama_cpp(version: str = "b11476", architecture: str = "amd64", **wanted: Any) -> Release:
    return Release(
        "one", resolve.Wanted("llama_cpp", version, "https://mirror.example/{asset}", **wanted), architecture
    )


def test_a_list_is_asked_once_for_all_hosts_and_only_where_nothing_here_tells(
    tmp_path: Path, published: dict[str, dict[str, str]]
) -> None:
    pins = tmp_path / "pins"
    pins.write_text(f"{A}  v0.5.7/{AMD}\n")
    vouched = [
        ollama(pins=str(pins)),
        ollama(checksums={AMD: A}),
        ollama(sha256=A),
        ollama(allow_unverified=True),
        ollama(architecture="arm64", checksums={AMD: A, ARM: A}),
    ]
    assert checksums.problems(vouched) == []
    published["https://mirror.example/v0.5.7/sha256sum.txt"] = {AMD: A}
    asked = [ollama(host, **MIRROR) for host in ("one", "two")]
    assert (checksums.problems(asked), published) == ([], {})


@pytest.mark.parametrize(
    ("architecture", "addons", "named"),
    [
        ("amd64", (), AMD),
        ("arm64", (), ARM),
        ("amd64", ("rocm",), f"{AMD}, ollama-linux-amd64-rocm.tgz"),
        ("", (), f"{AMD}, {ARM}"),
    ],
)
def test_what_nobody_vouches_for_is_named_with_its_hosts_the_reason_and_the_way_out(
    published: dict[str, dict[str, str]], architecture: str, addons: Sequence[str], named: str
) -> None:
    published["https://mirror.example/v0.5.7/sha256sum.txt"] = {"other.tgz": A}
    wanted = [ollama(host, architecture, addons=tuple(addons), **MIRROR) for host in ("one", "two")]
    (told,) = checksums.problems(wanted)
    assert told.startswith(f"one, two: no sha256 is known for {named} of Ollama 0.5.7 (it does not name it.).")
    assert "ollama_checksums" in told


def test_of_a_host_that_was_never_asked_one_architecture_is_enough(published: dict[str, dict[str, str]]) -> None:
    assert checksums.problems([ollama(architecture="", sha256=A), ollama(architecture="", checksums={ARM: A})]) == []
    published["https://mirror.example/v0.5.7/sha256sum.txt"] = {ARM: A}
    assert checksums.problems([ollama(architecture="", **MIRROR)]) == []


def test_an_architecture_or_an_addon_that_is_not_built_is_said_too() -> None:
    (told,) = checksums.problems([ollama(architecture="riscv64")])
    assert told.startswith("one: Ollama has no release for riscv64")
    (told,) = checksums.problems([ollama(architecture="", addons=("cuda",), sha256=A)])
    assert "ollama_addons: Ollama has no cuda" in told


CUDA = "llama-b11476-bin-ubuntu-cuda-12.8-x64.tar.gz"


@pytest.mark.parametrize(
    "right",
    [
        llama_cpp(checksums={"llama-b11476-bin-ubuntu-x64.tar.gz": A}),
        llama_cpp(architecture="", checksums={"llama-b11476-bin-ubuntu-arm64.tar.gz": A}),
        llama_cpp(checksums={CUDA: A, f"cudart-{CUDA}": A}),
        llama_cpp(assets=("auto",), checksums={CUDA: A, f"cudart-{CUDA}": A}),
        llama_cpp(assets=("own.tar.gz",), checksums={"own.tar.gz": A}),
        llama_cpp(allow_unverified=True),
    ],
)
def test_one_archive_of_a_build_that_may_fit_the_host_is_enough(right: Release) -> None:
    assert checksums.problems([right]) == []


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (llama_cpp(checksums={CUDA: A}), f"cudart-{CUDA}"),
        (llama_cpp(checksums={"llama-b11476-bin-ubuntu-arm64.tar.gz": A}), "llama-b11476-bin-ubuntu-x64.tar.gz"),
        (
            llama_cpp(assets=("own.tar.gz",), checksums={"b.tar.gz": A}),
            "no sha256 is known for own.tar.gz of llama.cpp",
        ),
        (llama_cpp(version="b4000", architecture=""), "upstream has no archive of llama.cpp b4000 for amd64"),
    ],
)
def test_a_build_of_llama_cpp_needs_a_checksum_from_the_inventory(wrong: Release, named: str) -> None:
    (told,) = checksums.problems([wrong])
    assert told.startswith("one: ") and named in told
