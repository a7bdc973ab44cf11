# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An installation by install.sh that was adopted, upgraded, saved from a bad release, rolled back, upgraded again."""

from __future__ import annotations

from pathlib import Path

import pytest

INSTALL_SH_UNIT = Path(__file__).parent.parent / "ollama.service"


def test_the_version_from_before_is_kept_for_a_rollback_and_the_broken_one_is_not(host):
    assert host.file("/opt/ollama/current").linked_to == "/opt/ollama/0.33.2"
    assert host.file("/opt/ollama/previous").linked_to == "/opt/ollama/0.5.7"
    assert sorted(host.file("/opt/ollama").listdir()) == ["0.33.2", "0.5.7", "current", "previous"]


def test_the_user_and_its_home_are_those_from_before(host):
    user = host.user("ollama")
    assert (user.home, user.shell) == ("/usr/share/ollama", "/bin/false")


def test_the_models_lie_where_they_lay(host):
    assert host.file("/usr/share/ollama/.ollama/models/manifests/registry.ollama.ai/library/smollm2/latest").is_file
    assert not host.file("/var/lib/ollama").exists


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/etc/systemd/system/ollama.service", INSTALL_SH_UNIT.read_text()),
        ("/etc/systemd/system/ollama.service.d/override.conf", "OLLAMA_KEEP_ALIVE=33m"),
        ("/etc/default/ollama", "OLLAMA_MAX_QUEUE=64"),
    ],
)
def test_the_unit_the_drop_in_and_the_file_of_the_administrator_are_as_they_were(host, path, part):
    assert part in host.file(path).content_string


@pytest.mark.parametrize(("setting", "value"), [("Nice", "5"), ("LimitNOFILE", "40000"), ("User", "ollama")])
def test_settings_of_the_unit_and_of_the_drop_in_hold(host, setting, value):
    assert host.service("ollama").systemd_properties[setting] == value


def test_the_command_is_the_version_that_serves(host):
    assert "0.33.2" in host.check_output("ollama --version")


def test_the_path_of_the_shell_that_ran_install_sh_is_no_setting(host):
    assert "/root/bin" not in host.check_output("systemctl show --property Environment ollama")


def test_the_run_that_drained_left_no_restart_due(host):
    assert not host.file("/var/lib/gguf-fleet/pending/ollama.json").exists


def test_install_sh_may_write_its_unit_again_and_no_setting_is_lost(host):
    host.check_output("printf %%s %s > /etc/systemd/system/ollama.service", INSTALL_SH_UNIT.read_text())
    host.check_output("systemctl daemon-reload")
    properties = host.service("ollama").systemd_properties
    assert properties["EnvironmentFiles"] == "/etc/gguf-fleet/ollama.env (ignore_errors=no)"
    assert properties["ProtectSystem"] == "strict"
