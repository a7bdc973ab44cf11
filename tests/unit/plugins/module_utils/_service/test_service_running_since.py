# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes the services of an engine are, and since when."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from ansible_collections.gguf.fleet.plugins.module_utils._host.processes import age_seconds
from ansible_collections.gguf.fleet.plugins.module_utils._service.uptime import running


def test_a_service_that_runs_is_told_with_its_process_and_one_that_does_not_is_not() -> None:
    begun = time.time()
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            pids = {"ollama": process.pid, "ollama-2": 0}
            (told,) = running(list(pids), pids.__getitem__)
        finally:
            process.kill()
    assert (told["name"], told["pid"]) == ("ollama", process.pid)
    assert told["started_at"][:13] in {time.strftime("%Y-%m-%dT%H", time.gmtime(at)) for at in (begun, time.time())}
    assert told["uptime_seconds"] <= time.time() - begun + 1


def test_the_age_goes_by_the_clock_of_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    fields = ["S", *["0"] * 18, str(50 * os.sysconf("SC_CLK_TCK")), "0"]
    (tmp_path / "7/stat").write_text(f"7 (a (b) c) {' '.join(fields)}\n")
    (tmp_path / "uptime").write_text("170.25 300.00\n")
    assert age_seconds(7, str(tmp_path)) == 120.25
    # A process that has ended since, and a kernel that tells nothing.
    assert age_seconds(8, str(tmp_path)) is None
    (tmp_path / "uptime").unlink()
    assert age_seconds(7, str(tmp_path)) is None
