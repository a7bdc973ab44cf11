# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.bare_host import BareHost, Start
from ansible_collections.gguf.fleet.tests.integration.engines.release_lab import Lab, Mirror, Run
from ansible_collections.gguf.fleet.tests.integration.gpu.conftest import run_module  # noqa: F401


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


@pytest.fixture
def lab(tmp_path: Path, run_module: Run) -> Iterator[Lab]:  # noqa: F811
    # Programs are asked for their version as nobody, who has to reach them.
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    (tmp_path / "mirror").mkdir()
    server = Mirror(tmp_path / "mirror")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Lab(tmp_path, run_module, server)
    server.shutdown()
    server.server_close()
