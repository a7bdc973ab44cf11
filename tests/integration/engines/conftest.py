# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.bare_host import BareHost, Start


@pytest.fixture(name="bare_host")
def bare_hosts(smollm2: SmolLM2, tmp_path: Path) -> Iterator[Start]:
    """Starts hosts; the shards are to be read at the same place as on the controller."""
    started = []
    shards = smollm2.shards[0].parent

    def start(image: str, *more: str, network: str = "none") -> BareHost:
        name = f"gguf-fleet-bare-{uuid.uuid4().hex[:8]}"
        options = ["--init", f"--network={network}", f"--volume={shards}:{shards}:ro", *more]
        command = ["docker", "run", "--detach", "--name", name, *options, f"gguf-fleet-{image}", "sleep", "infinity"]
        started.append(name)
        subprocess.run(command, check=True, capture_output=True)
        return BareHost(name, tmp_path)

    yield start
    for name in started:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], check=False, capture_output=True)
