# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose checksums are looked for before a run: by the variables, and by what hosts reported before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.record import FOLDER, NAME, Reported, text_of
from ansible_collections.gguf.fleet.plugins.plugin_utils.controller import unknown_checksums

# Whose list is on the host, so that nobody is asked.
MIRROR = {"ollama_source_url": "file:///srv/{asset}", "ollama_trust_mirror_checksums": True}
NOTHING: dict[str, Any] = {"hosts": {}}


def told(tmp_path: Path, **variables: Any) -> list[str]:
    given = {"inventory_dir": str(tmp_path), "fleet_engines": ["ollama"], **MIRROR, **variables}
    return unknown_checksums(NOTHING, {"one": given}, ["one"])


def test_a_host_that_reported_a_verified_copy_needs_no_checksum_and_its_architecture_counts(tmp_path: Path) -> None:
    (unasked,) = told(tmp_path)
    assert unasked.startswith("one: no sha256 is known for ollama-linux-amd64.tar.zst, ollama-linux-arm64.tar.zst of")
    record = tmp_path / FOLDER / NAME
    record.parent.mkdir()
    reported = Reported(date="2026-01-01T00:00:00Z", architecture="arm64", releases={"ollama": "0.33.2"})
    record.write_text(text_of({"one": reported}))
    assert told(tmp_path) == []
    (other,) = told(tmp_path, ollama_version="0.5.7")
    assert other.startswith("one: no sha256 is known for ollama-linux-arm64.tgz of Ollama 0.5.7")


def test_pins_and_variables_count_where_the_roles_look_for_them(tmp_path: Path) -> None:
    name, digest = "ollama-linux-arm64.tar.zst", "a" * 64
    assert told(tmp_path, ollama_checksums={"0.33.2": {name: digest.upper()}}) == []
    assert told(tmp_path, ollama_allow_unverified="yes") == []
    assert told(tmp_path, fleet_engines=[]) == []
    (tmp_path / "ollama-releases.txt").write_text(f"{digest}  v0.33.2/{name}\n")
    assert told(tmp_path) == []
    assert told(tmp_path, ollama_checksums_file=str(tmp_path / "others")) != []


def test_a_release_of_llama_cpp_has_its_checksums_in_the_inventory(tmp_path: Path) -> None:
    server = {"llama_cpp_servers": [{"name": "own", "model": "/m.gguf"}], "fleet_engines": []}
    release = {"llama_cpp_source": "release", "llama_cpp_version": "b11476", "llama_cpp_release_assets": ["own.tar.gz"]}
    assert told(tmp_path, **server) == []
    (lacking,) = told(tmp_path, **server, **release)
    assert lacking.startswith("one: no sha256 is known for own.tar.gz of llama.cpp b11476. Give it in llama_cpp_checks")
    assert told(tmp_path, **server, **release, llama_cpp_checksums={"own.tar.gz": "a" * 64}) == []
