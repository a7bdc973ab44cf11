# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was there before the adoption and is nothing of ours."""

from __future__ import annotations


def test_the_model_and_its_user_are_left(host):
    store = host.file("/usr/share/ollama/.ollama/models/manifests/registry.ollama.ai/library/smollm2/latest")
    assert store.is_file
    assert host.user("ollama").exists


def test_the_drop_in_of_the_administrator_is_left(host):
    assert host.file("/etc/systemd/system/ollama.service.d/override.conf").is_file


def test_the_unit_and_the_command_of_the_other_installer_are_left(host):
    assert host.file("/etc/systemd/system/ollama.service").is_file
    command = host.file("/usr/local/bin/ollama")
    assert command.is_file
    assert not command.is_symlink
