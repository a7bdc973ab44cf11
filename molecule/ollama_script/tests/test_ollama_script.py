# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ollama on a host without systemd, after its life: a supervised process with the settings of the same unit."""

from __future__ import annotations

import json

import pytest

SERVICE = "/usr/local/lib/gguf-fleet/service"


@pytest.fixture
def status(host):
    return lambda: json.loads(host.check_output(f"{SERVICE} status ollama --json"))


def test_there_is_no_systemd_here(host):
    assert host.run("systemctl is-system-running").stdout.strip() == "offline"


def test_the_version_from_before_is_kept_for_a_rollback_and_the_broken_one_is_not(host):
    assert sorted(host.file("/opt/ollama").listdir()) == ["0.33.2", "0.5.7", "current", "previous"]
    assert host.file("/opt/ollama/current").linked_to == "/opt/ollama/0.33.2"
    assert host.file("/opt/ollama/previous").linked_to == "/opt/ollama/0.5.7"


def test_what_the_broken_version_said_is_in_the_log(host):
    assert "no kernel image is available" in host.file("/var/log/gguf-fleet/ollama.log").content_string


def test_the_service_runs_under_its_supervisor(host, status):
    state = status()
    assert state["active"]
    assert host.process.get(pid=state["pid"]).ppid == state["supervisor"]


def test_the_run_files_belong_to_root(host, status):
    for path in ("/run/gguf-fleet", SERVICE, "/etc/gguf-fleet/services/ollama.service"):
        file = host.file(path)
        assert (file.user, file.mode & 0o022) == ("root", 0), path


def test_the_server_has_no_way_to_more_rights(host, status):
    state = host.file(f"/proc/{status()['pid']}/status").content_string
    assert "NoNewPrivs:\t1" in state


def test_a_killed_server_comes_back(host, status):
    before = status()["pid"]
    host.check_output(f"kill -KILL {before}")
    host.check_output(
        "curl --silent --fail --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:11434/api/version"
    )
    assert status()["pid"] not in (0, before)
