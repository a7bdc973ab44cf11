# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upgrade and a rollback end with, on one host with the Ollama stand-in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.bare_host import release
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import Host, container

pytestmark = [pytest.mark.docker, pytest.mark.long]
OLD, NEW = "0.5.7", "0.33.2"


@pytest.fixture
def host(smollm2: SmolLM2, tmp_path: Path) -> Iterator[Host]:
    yield from container("supervisord", "ollama", smollm2.merged, tmp_path)


def test_both_end_with_from_to_and_answer(host: Host, ollama_archives: dict[str, Path]) -> None:
    def run(playbook: str, *options: str, **variables: Any) -> str:
        done = host.play(playbook, *options, fleet_engines=["ollama"], **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def row(output: str) -> list[str]:
        return re.split("  +", re.findall(rf"^({host.name} +Ollama .*)$", output, re.MULTILINE)[-1])[2:]

    host.converge(**release(ollama_archives, OLD))
    new = release(ollama_archives, NEW)
    assert row(run("upgrade.yml", "--check", **new)) == [OLD, NEW, "not asked, check mode"]
    assert row(run("upgrade.yml", **new)) == [OLD, NEW, "serves"]
    assert row(run("upgrade.yml", **new)) == [NEW, NEW, "unchanged"]
    back = run("rollback.yml", **new)
    assert row(back) == [NEW, OLD, "serves"]
    assert f"Set ollama_version: {OLD} for {host.name}, or the next run of site.yml upgrades again." in back
    # Nothing is at this address, so the new version does not serve and the old one comes back.
    failed = host.play(
        "upgrade.yml", fleet_engines=["ollama"], ollama_host="192.0.2.1:11434", ollama_answer_seconds=5, **new
    )
    assert failed.returncode != 0
    assert row(failed.stdout) == [OLD, OLD, "FAILED"]
    assert re.search(rf"^FAILED: {host.name}: \S", failed.stdout, re.MULTILINE)
    assert host.version() == OLD
