# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service under the real supervisord as hosts run it, with real processes, in directories of its own."""

from __future__ import annotations

import getpass
import grp
import json
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

from ansible_collections.gguf.fleet.plugins.module_utils._service import (
    environment,
    run_service,
    supervisord,
    supervisord_program,
)
from ansible_collections.gguf.fleet.plugins.module_utils._service.values import Service as Values

SERVE = "trap 'echo bye; exit 0' TERM; echo serving $GREETING; while :; do sleep 0.05; done"
PROGRAMS = {"supervisord": supervisord_program, "supervisorctl": supervisord_program, "run-service": run_service}


class Service:
    """One service; `within` is a command that all programs run under."""

    def __init__(self, folder: Path, *within: str) -> None:
        self.folder = folder
        self.within = within
        self.programs = folder / "programs"
        self.programs.mkdir()
        for name, module in PROGRAMS.items():
            program = folder / name
            program.write_text(f"#!{sys.executable}\n{Path(str(module.__file__)).read_text()}")
            program.chmod(0o755)
        (folder / "supervisord.conf").write_text(self.here(supervisord.configuration()))
        self.environment = {
            **os.environ,
            "GGUF_FLEET_PROGRAMS": str(self.programs),
            "GGUF_FLEET_RUN": str(folder / "run"),
            "GGUF_FLEET_LOGS": str(folder / "log"),
        }

    def here(self, text: str) -> str:
        """The product's text with this folder for the places of a host."""
        for place, name in (
            (supervisord.PROGRAMS, "programs"),
            (supervisord.RUN, "run"),
            (supervisord.LOGS, "log"),
            (supervisord.LIBRARY + "/", ""),
        ):
            text = text.replace(place, f"{self.folder}/{name}")
        return text

    def unit(self, shell: str, variables: Any = None, arguments: tuple[str, ...] = (), **settings: Any) -> None:
        """The files as the module writes them; settings of run-service, or of the program's section."""
        program = self.folder / "program"
        program.write_text(f"#!/bin/sh\n{shell}\n")
        program.chmod(0o755)
        user = str(settings.pop("user", getpass.getuser()))
        values = Values(
            name="demo",
            description="Demo",
            command=(str(program), *arguments),
            user=user,
            group=grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name,
            home="/",
            log_bytes=settings.pop("log_bytes", 10 * 2**20),
            log_files=settings.pop("log_files", 5),
        )
        told = {**json.loads(supervisord.settings(values)), "restart_seconds": 0.1}
        told["environment_file"] = str(self.folder / "env")
        told.update((name, settings.pop(name)) for name in list(settings) if name in told)
        (self.programs / "demo.json").write_text(json.dumps(told))
        section = self.here(supervisord.program(values)).replace("stopwaitsecs=60", "stopwaitsecs=1")
        (self.programs / "demo.conf").write_text(section + "".join(f"{k}={v}\n" for k, v in settings.items()))
        (self.folder / "env").write_text(environment.render(variables or {"GREETING": 'hello "you"'}))

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.within, str(self.folder / program), *arguments],
            env=self.environment,
            text=True,
            capture_output=True,
            check=False,
            timeout=30,
        )

    def daemon(self, *options: str) -> subprocess.CompletedProcess[str]:
        """supervisord, which starts the service."""
        return self.run("supervisord", "-c", str(self.folder / "supervisord.conf"), *options)

    def control(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("supervisorctl", "-c", str(self.folder / "supervisord.conf"), *words)

    def supervisor(self) -> int:
        return int((self.folder / "run/supervisord.pid").read_text())

    def status(self) -> dict[str, Any]:
        """What run-service noted of the last start; `active` is whether that process is the service now."""
        try:
            told: dict[str, Any] = json.loads((self.folder / "run/demo.start").read_text())
        except (OSError, ValueError):
            return {"active": False, "pid": 0}
        return {**told, "active": bool(told["runs"]) and alive(told["pid"])}

    def log(self) -> str:
        path = self.folder / "log" / "demo.log"
        try:
            return path.read_text(errors="replace")
        except FileNotFoundError:
            # Not begun yet, or just put aside by supervisord.
            return ""

    def until(self, true: Callable[[], object], seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"{self.status()}\n{self.control('status').stdout}\n{self.log()}"
            time.sleep(0.05)

    def end(self) -> None:
        """Whatever a test left."""
        self.control("shutdown")
        self.until(lambda: not (self.folder / "run/supervisord.pid").exists() or not alive(self.supervisor()))
        self.run("run-service", "--end", "demo")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
