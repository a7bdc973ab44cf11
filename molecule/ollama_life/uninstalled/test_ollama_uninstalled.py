# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/uninstall.yml leaves: the models, and nothing that the collection brought."""

from __future__ import annotations

import pytest


def test_nothing_runs(host):
    assert host.process.filter(user="ollama") == []


@pytest.mark.parametrize(
    "path",
    [
        "/opt/ollama",
        "/usr/local/bin/ollama",
        "/etc/systemd/system/ollama.service",
        "/etc/systemd/system/ollama.service.d/gguf-fleet.conf",
        "/etc/gguf-fleet",
        "/usr/local/lib/gguf-fleet",
        "/var/tmp/gguf-fleet-ollama",
    ],
)
def test_what_the_collection_brought_is_gone(host, path):
    file = host.file(path)
    assert not file.exists
    assert not file.is_symlink


def test_the_model_and_its_user_are_left(host):
    store = host.file("/usr/share/ollama/.ollama/models/manifests/registry.ollama.ai/library/smollm2/latest")
    assert store.is_file
    assert host.user("ollama").exists


def test_the_drop_in_of_the_administrator_is_left(host):
    assert host.file("/etc/systemd/system/ollama.service.d/override.conf").is_file
