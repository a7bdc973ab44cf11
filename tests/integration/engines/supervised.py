# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service under the collection's own script, with real processes, in directories of its own."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

SCRIPT = Path(__file__).resolve().parents[3] / "roles/host/files/service"
SERVE = "trap 'echo bye; exit 0' TERM; echo serving $GREETING; while :; do sleep 0.05; done"


class Service:
    """One service in directories of its own; `within` is a command that the script runs under."""

    def __init__(self, folder: Path, *within: str) -> None:
        self.folder = folder
        self.within = within
        self.units = folder / "units"
        self.units.mkdir()
        self.environment = {
            **os.environ,
            "GGUF_FLEET_UNITS": str(self.units),
            "GGUF_FLEET_RUN": str(folder / "run"),
            "GGUF_FLEET_LOGS": str(folder / "log"),
        }

    def unit(self, shell: str, **settings: object) -> None:
        """The unit as the role writes it: a stub, and a drop-in with everything."""
        program = self.folder / "program"
        program.write_text(f"#!/bin/sh\n{shell}\n")
        program.chmod(0o755)
        (self.folder / "env").write_text('# ours\nGREETING="hello \\"you\\""\n')
        self.units.joinpath("demo.service").write_text("[Service]\nExecStart=/bin/false\n")
        drop_ins = self.units / "demo.service.d"
        drop_ins.mkdir(exist_ok=True)
        own = {"User": getpass.getuser(), "Restart": "always", "RestartSec": 0.1, "TimeoutStopSec": 1, **settings}
        log = {name: own.pop(name) for name in ("LogBytes", "LogFiles") if name in own}
        lines = ["[Service]", "ExecStart=", f"ExecStart={program}", f"EnvironmentFile={self.folder}/env"]
        lines += [f"{name}={value}" for name, value in own.items()]
        lines += ["[X-GgufFleet]", *[f"{name}={value}" for name, value in log.items()]]
        (drop_ins / "gguf-fleet.conf").write_text("\n".join(lines) + "\n")

    def __call__(self, verb: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.within, sys.executable, str(SCRIPT), verb, "demo", *options],
            env=self.environment,
            text=True,
            capture_output=True,
            check=False,
            timeout=30,
        )

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self("status", "--json").stdout)
        return told

    def log(self) -> str:
        path = self.folder / "log" / "demo.log"
        return path.read_text() if path.exists() else ""

    def until(self, true: Callable[[], object], seconds: float = 10) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"{self.status()}\n{self.log()}"
            time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
