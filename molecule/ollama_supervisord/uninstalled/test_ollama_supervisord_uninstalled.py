# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/uninstall.yml leaves where there is no systemd."""

from __future__ import annotations


def test_no_supervisord_runs(host):
    assert not [process for process in host.process.filter(comm="python3") if "gguf-fleet" in process.args]


def test_the_model_and_its_user_are_left(host):
    assert host.file("/var/lib/ollama/models/manifests/registry.ollama.ai/library/smollm2/latest").is_file
    assert host.user("ollama").exists


def test_the_command_and_the_program_are_gone(host):
    for path in (
        "/usr/local/bin/ollama",
        "/etc/gguf-fleet/programs/ollama.conf",
        "/etc/gguf-fleet/programs/ollama.json",
    ):
        assert not host.file(path).exists
        assert not host.file(path).is_symlink
