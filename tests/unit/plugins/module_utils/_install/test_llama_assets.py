# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upstream's archives of llama.cpp: the one that fits a host, from b4610 to today."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._host.graphics import driver_told
from ansible_collections.gguf.fleet.plugins.module_utils._install import resolve
from ansible_collections.gguf.fleet.plugins.module_utils._install.llama_assets import Machine, llama_cpp_assets
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

# C library of Ubuntu 20.04, RHEL 9, Ubuntu 22.04, Debian 12, RHEL 10 and Ubuntu 24.04, Debian 13.
FOCAL, RHEL9, JAMMY, BOOKWORM, NOBLE, TRIXIE = "2.31", "2.34", "2.35", "2.36", "2.39", "2.41"


def cuda(architecture: str, glibc: str, driver: str = "580.95.05") -> Machine:
    return Machine(architecture, glibc, "cuda", driver)


PUBLISHED = [
    ("b4610", Machine("amd64", NOBLE), ["llama-b4610-bin-ubuntu-x64.zip"]),
    ("b4610", Machine("amd64", TRIXIE), ["llama-b4610-bin-ubuntu-x64.zip"]),
    ("b5308", Machine("amd64", JAMMY), ["llama-b5308-bin-ubuntu-x64.zip"]),
    ("b7345", Machine("amd64", BOOKWORM), ["llama-b7345-bin-ubuntu-x64.zip"]),
    ("b7345", Machine("amd64", NOBLE, "vulkan"), ["llama-b7345-bin-ubuntu-vulkan-x64.zip"]),
    ("b7472", Machine("amd64", JAMMY), ["llama-b7472-bin-ubuntu-x64.tar.gz"]),
    ("b8495", Machine("amd64", BOOKWORM), ["llama-b8495-bin-ubuntu-x64.tar.gz"]),
    ("b9628", Machine("arm64", NOBLE), ["llama-b9628-bin-ubuntu-arm64.tar.gz"]),
    ("b10356", Machine("amd64", JAMMY, "vulkan"), ["llama-b10356-bin-ubuntu-vulkan-x64.tar.gz"]),
    ("b10356", Machine("arm64", TRIXIE, "vulkan"), ["llama-b10356-bin-ubuntu-vulkan-arm64.tar.gz"]),
    (
        "b11064",
        cuda("amd64", NOBLE, "570.86.15"),
        ["llama-b11064-bin-ubuntu-cuda-12.8-x64.tar.gz", "cudart-llama-b11064-bin-ubuntu-cuda-12.8-x64.tar.gz"],
    ),
    (
        "b11476",
        cuda("amd64", TRIXIE),
        ["llama-b11476-bin-ubuntu-cuda-12.8-x64.tar.gz", "cudart-llama-b11476-bin-ubuntu-cuda-12.8-x64.tar.gz"],
    ),
    (
        "b11457",
        cuda("arm64", NOBLE),
        ["llama-b11457-bin-ubuntu-cuda-13.4-arm64.tar.gz", "cudart-llama-b11457-bin-ubuntu-cuda-13.4-arm64.tar.gz"],
    ),
    ("b11457", Machine("amd64", JAMMY), ["llama-b11457-bin-ubuntu-x64.tar.gz"]),
]
MISSING = [
    ("b4610", Machine("amd64", BOOKWORM), "needs glibc 2.38"),
    ("b4610", Machine("amd64", FOCAL), "needs glibc 2.38"),
    ("b4610", Machine("arm64", NOBLE), "there are archives since b8802"),
    ("b4610", Machine("amd64", NOBLE, "vulkan"), "there are archives since b5600"),
    ("b4610", cuda("amd64", NOBLE), "there are archives since b11064"),
    ("b10356", cuda("amd64", NOBLE), r"amd64, NVIDIA GPUs, driver 580\.95\.05, glibc 2\.39.*since b11064"),
    ("b11457", Machine("amd64", FOCAL), r"llama-<tag>-bin-ubuntu-x64\.tar\.gz needs glibc 2\.35"),
    ("b11457", Machine("amd64", RHEL9), "needs glibc 2.35"),
    ("b11457", Machine("arm64", JAMMY), "needs glibc 2.38"),
    ("b11457", cuda("amd64", JAMMY), r"cuda-12\.8-x64\.tar\.gz needs glibc 2\.38"),
    ("b11457", cuda("amd64", NOBLE, "550.54.14"), r"cuda-12\.8-x64\.tar\.gz needs NVIDIA's driver 570"),
    ("b11457", cuda("arm64", NOBLE, "570.86.15"), "needs NVIDIA's driver 580"),
    ("b11457", cuda("amd64", NOBLE, ""), "driver does not run here"),
    ("b11457", Machine("amd64", ""), r"no glibc\): .* needs glibc"),
    ("b11457", Machine("s390x", NOBLE), "there are archives for amd64 and arm64"),
]


@pytest.mark.parametrize(("tag", "machine", "names"), PUBLISHED)
def test_the_archive_that_fits_a_host_is_named_as_upstream_names_it(
    tag: str, machine: Machine, names: list[str]
) -> None:
    assert llama_cpp_assets(tag, machine) == names


@pytest.mark.parametrize(("tag", "machine", "why"), MISSING)
def test_where_none_fits_it_is_said_why_and_what_else_there_is(tag: str, machine: Machine, why: str) -> None:
    with pytest.raises(InstallProblem, match=why) as refused:
        llama_cpp_assets(tag, machine)
    assert "llama_cpp_source: source" in refused.value.remedy


HOST = {"architecture": "amd64", "zstd": True, "releases": [], "glibc": "2.39", "nvidia": 8, "nvidia_driver": "570.1"}
PAIR = ["llama-b11457-bin-ubuntu-cuda-12.8-x64.tar.gz", "cudart-llama-b11457-bin-ubuntu-cuda-12.8-x64.tar.gz"]


@pytest.mark.parametrize(
    ("host", "options", "names"),
    [
        (HOST, {"uses": ("models",)}, PAIR),
        (HOST, {"uses": ("models",), "assets": ("auto",)}, PAIR),
        # For its file tools it needs no GPU, and no archive with CUDA.
        (HOST, {}, ["llama-b11457-bin-ubuntu-x64.tar.gz"]),
        ({**HOST, "nvidia": 0, "amd": 2}, {"uses": ("rpc",)}, ["llama-b11457-bin-ubuntu-vulkan-x64.tar.gz"]),
        (HOST, {"uses": ("models",), "assets": ("by-hand.tar.gz",)}, ["by-hand.tar.gz"]),
    ],
)
def test_a_release_resolves_to_what_its_host_is(host: dict[str, Any], options: Any, names: list[str]) -> None:
    wanted = resolve.Wanted("llama_cpp", "b11457", "https://mirror.example/{asset}", allow_unverified=True, **options)
    assert [archive["asset"] for archive in resolve.plan(wanted, resolve.host_of(host)).archives] == names


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024", "550.54.14"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (root@h)", "570.86.15"),
        ("nonsense", ""),
    ],
)
def test_the_driver_s_version_is_read_from_what_its_module_tells(line: str, version: str) -> None:
    assert driver_told(line) == version
