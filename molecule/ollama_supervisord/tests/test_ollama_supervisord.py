# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ollama on a host without systemd, after its life: a program of supervisord."""

from __future__ import annotations

import pytest

CONTROL = "/usr/local/lib/gguf-fleet/supervisorctl"


@pytest.fixture
def pid(host):
    return lambda: int(host.check_output(f"{CONTROL} pid ollama"))


def test_there_is_no_systemd_here(host):
    assert host.run("systemctl is-system-running").stdout.strip() == "offline"


def test_the_version_from_before_is_kept_for_a_rollback_and_the_broken_one_is_not(host):
    assert sorted(host.file("/opt/ollama").listdir()) == ["0.33.2", "0.5.7", "current", "previous"]
    assert host.file("/opt/ollama/current").linked_to == "/opt/ollama/0.33.2"
    assert host.file("/opt/ollama/previous").linked_to == "/opt/ollama/0.5.7"


def test_what_the_broken_version_said_is_in_the_log(host):
    assert "no kernel image is available" in host.file("/var/log/gguf-fleet/ollama.log").content_string


def test_the_service_runs_under_supervisord(host, pid):
    assert "RUNNING" in host.check_output(f"{CONTROL} status ollama")
    assert host.process.get(pid=pid()).ppid == int(host.check_output(f"{CONTROL} pid"))


def test_programs_settings_and_logs_belong_to_root(host):
    for path in (
        "/run/gguf-fleet",
        "/run/gguf-fleet/supervisor.sock",
        "/etc/gguf-fleet/supervisord.conf",
        "/etc/gguf-fleet/programs/ollama.conf",
        "/etc/gguf-fleet/programs/ollama.json",
        "/usr/local/lib/gguf-fleet/run-service",
        "/usr/local/lib/gguf-fleet/supervisor/supervisor/supervisord.py",
        "/var/log/gguf-fleet/ollama.log",
    ):
        file = host.file(path)
        assert (file.user, file.mode & 0o022) == ("root", 0), path
    assert host.file("/run/gguf-fleet/supervisor.sock").mode == 0o600


def test_the_server_has_no_way_to_more_rights(host, pid):
    state = host.file(f"/proc/{pid()}/status").content_string
    assert "NoNewPrivs:\t1" in state


def test_a_killed_server_comes_back(host, pid):
    before = pid()
    host.check_output(f"kill -KILL {before}")
    host.check_output(
        "curl --silent --fail --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:11434/api/version"
    )
    assert pid() not in (0, before)
