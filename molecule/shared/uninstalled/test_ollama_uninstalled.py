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
        "/etc/systemd/system/ollama.service.d/gguf-fleet.conf",
        "/etc/gguf-fleet",
        "/run/gguf-fleet",
        "/var/log/gguf-fleet",
        "/usr/local/lib/gguf-fleet",
        "/var/tmp/gguf-fleet-ollama",
    ],
)
def test_what_the_collection_brought_is_gone(host, path):
    file = host.file(path)
    assert not file.exists
    assert not file.is_symlink
