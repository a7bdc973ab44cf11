# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names that Ollama's release workflow gives its archives, v0.5.7 to v0.33."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.filter.ollama_assets import ollama_assets

NAMES = [
    ("0.5.7", "amd64", [], ["ollama-linux-amd64.tgz"]),
    ("0.5.7", "amd64", ["rocm"], ["ollama-linux-amd64.tgz", "ollama-linux-amd64-rocm.tgz"]),
    ("0.5.7", "arm64", ["jetpack5"], ["ollama-linux-arm64.tgz", "ollama-linux-arm64-jetpack5.tgz"]),
    ("0.13.5", "arm64", ["jetpack6"], ["ollama-linux-arm64.tgz", "ollama-linux-arm64-jetpack6.tgz"]),
    ("0.14.0", "amd64", [], ["ollama-linux-amd64.tar.zst"]),
    ("0.14.0-rc2", "amd64", [], ["ollama-linux-amd64.tar.zst"]),
    ("0.33.2", "amd64", ["rocm"], ["ollama-linux-amd64.tar.zst", "ollama-linux-amd64-rocm.tar.zst"]),
    ("0.33.2", "arm64", ["jetpack6"], ["ollama-linux-arm64.tar.zst", "ollama-linux-arm64-jetpack6.tar.zst"]),
]


@pytest.mark.parametrize(("version", "architecture", "addons", "names"), NAMES)
def test_the_archives_of_a_version_an_architecture_and_its_add_ons(
    version: str, architecture: str, addons: list[str], names: list[str]
) -> None:
    assert ollama_assets(version, architecture, addons) == names


REFUSED = [
    ("s390x", [], "no release for s390x"),
    ("arm64", ["rocm"], "no rocm for arm64, only jetpack5, jetpack6"),
    ("amd64", ["jetpack6"], "no jetpack6 for amd64, only rocm"),
]


@pytest.mark.parametrize(("architecture", "addons", "message"), REFUSED)
def test_what_is_not_built_is_refused_before_it_is_asked_for(
    architecture: str, addons: list[str], message: str
) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        ollama_assets("0.33.2", architecture, addons)
