# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.gguf.fleet.plugins.filter.engine_archives import engine_archives

URL = "https://mirror.example/v{version}/{asset}"


def test_every_asset_has_its_url_and_its_sum_as_far_as_it_is_known() -> None:
    archives = engine_archives(["ollama.tgz", "ollama-rocm.tgz"], URL, "0.5.7", {"ollama.tgz": "ab"})
    assert archives == [
        {"url": "https://mirror.example/v0.5.7/ollama.tgz", "sha256": "ab"},
        {"url": "https://mirror.example/v0.5.7/ollama-rocm.tgz"},
    ]


def test_a_template_of_files_stands_for_all_of_them() -> None:
    archives = engine_archives(["a.tgz", "b.tgz"], URL, "0.5.7", {"b.tgz": "ab"}, "/srv/{version}/{asset}")
    assert archives == [{"src": "/srv/0.5.7/a.tgz"}, {"src": "/srv/0.5.7/b.tgz", "sha256": "ab"}]


def test_a_file_stands_for_the_first_asset_only() -> None:
    archives = engine_archives(["a.tgz", "b.tgz"], URL, "0.5.7", {}, "/srv/a.tgz")
    assert archives == [{"src": "/srv/a.tgz"}, {"url": "https://mirror.example/v0.5.7/b.tgz"}]


def test_what_was_made_ready_takes_the_place_of_the_url() -> None:
    ready = [{"src": "/var/lib/gguf-fleet/archives/ab.tar.gz", "sha256": "cd", "origin_sha256": "ab"}, {}]
    archives = engine_archives(["a.tar.zst", "b.tar.zst"], URL, "0.33.2", {}, ready=ready)
    assert archives == [ready[0], {"url": "https://mirror.example/v0.33.2/b.tar.zst"}]


def test_a_file_url_is_a_file_on_the_host() -> None:
    assert engine_archives(["a.tgz"], "file:///srv/{version}/{asset}", "1") == [{"src": "/srv/1/a.tgz"}]
