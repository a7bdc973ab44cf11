# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real llama-server of Debian, under our unit, serving shards as they are."""

from __future__ import annotations

import json

import pytest

UNIT = "llama-cpp-smollm2"
URL = "http://127.0.0.1:8080"


def test_the_service_runs_and_starts_at_boot(host):
    service = host.service(UNIT)
    assert service.is_running, host.check_output(f"journalctl --unit {UNIT} --no-pager --lines 50")
    assert service.is_enabled


def test_systemd_finds_nothing_wrong_with_the_unit(host):
    assert host.run(f"systemd-analyze verify {UNIT}.service").stderr == ""


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("PrivateTmp", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("DevicePolicy", "closed"),
        ("Restart", "always"),
    ],
)
def test_the_unit_is_hardened(host, setting, value):
    assert host.service(UNIT).systemd_properties[setting] == value


def test_the_server_does_not_run_as_root(host):
    assert host.process.get(comm="llama-server").euser != "root"


def test_the_server_listens_on_this_host_only(host):
    sockets = host.check_output("ss --no-header --listening --tcp --numeric 'sport = :8080'").splitlines()
    assert [line.split()[3] for line in sockets] == ["127.0.0.1:8080"]


def test_the_first_shard_is_served_without_a_merge(host):
    arguments = host.process.get(comm="llama-server").args
    assert "/srv/shards/SmolLM2-135M-Instruct-Q4_1-00001-of-00005.gguf" in arguments
    assert host.check_output("find / -xdev -name '*.gguf' -size +90M") == ""


def test_a_real_answer_comes_back(host):
    question = {
        "model": "smollm2",
        "temperature": 0,
        "max_tokens": 24,
        "messages": [{"role": "user", "content": "Name the capital of France."}],
    }
    answer = host.check_output(
        f"curl --silent --fail --max-time 120 --json %s {URL}/v1/chat/completions", json.dumps(question)
    )
    assert "Paris" in json.loads(answer)["choices"][0]["message"]["content"]
