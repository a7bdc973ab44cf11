# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ollama under systemd: the unit, what it may not do, and that it survives what happens to servers."""

from __future__ import annotations

import pytest


def test_the_service_runs_and_starts_at_boot(host):
    service = host.service("ollama")
    assert service.is_running, host.check_output("journalctl --unit ollama --no-pager --lines 50")
    assert service.is_enabled


def test_the_unit_is_the_one_of_a_good_install_and_systemd_agrees(host):
    assert host.run("systemd-analyze verify ollama.service").stderr == ""


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("User", "ollama"),
        ("Restart", "always"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("ProtectKernelModules", "yes"),
        ("RestrictSUIDSGID", "yes"),
    ],
)
def test_the_unit_is_hardened(host, setting, value):
    assert host.service("ollama").systemd_properties[setting] == value


def test_the_server_has_no_capability_of_root(host):
    # testinfra reads settings with an empty value as missing ones.
    assert host.check_output("systemctl show --property CapabilityBoundingSet ollama") == "CapabilityBoundingSet="


def test_the_unit_keeps_the_gpus_visible(host):
    properties = host.service("ollama").systemd_properties
    assert (properties["PrivateDevices"], properties["DevicePolicy"]) == ("no", "auto")


def test_the_exposure_that_systemd_computes_stays_low(host):
    assert host.run("systemd-analyze security --threshold=30 --no-pager ollama.service").rc == 0


def test_a_crashed_server_comes_back(host):
    before = host.service("ollama").systemd_properties["MainPID"]
    host.check_output("kill -KILL %s", before)
    host.check_output(
        "curl --silent --fail --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:11434/api/version"
    )
    assert host.service("ollama").systemd_properties["MainPID"] not in ("0", before)
    # With the model that is to be in memory for ever, though nobody asked for it.
    listed = "curl --silent http://127.0.0.1:11434/api/ps | grep --quiet smollm2"
    host.check_output("timeout 100 sh -c %s", f"until {listed}; do sleep 0.5; done")
