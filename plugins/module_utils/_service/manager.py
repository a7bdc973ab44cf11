# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The two ways to keep a service running: systemd, and supervisord where there is none."""

from __future__ import annotations

import os
import shlex
from typing import Dict, List, Tuple, Union

from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.state import Run, State, last_words, run_command
from ansible_collections.gguf.fleet.plugins.module_utils._service.supervised import Supervisord
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines

UNITS = "/etc/systemd/system"


def detect(proc: str = "/proc", run: Run = run_command) -> Tuple[str, str]:
    """Which manager this host has, and why: systemd counts only when it is PID 1 and answers."""
    with open(os.path.join(proc, "1", "comm"), encoding="utf-8") as stream:
        first = stream.read().strip()
    if first != "systemd":
        return "supervisord", f"PID 1 is {first}"
    _code, answer = run(["systemctl", "is-system-running"])
    state = answer.strip().split("\n")[-1] if answer.strip() else "silent"
    if state in ("offline", "unknown", "silent") or _code == 127:
        return "supervisord", f"PID 1 is systemd, but it does not answer ({state})"
    return "systemd", f"PID 1 is systemd ({state})"


class Systemd:
    name = "systemd"

    def __init__(self, service: str, run: Run = run_command) -> None:
        self.service = service
        self.unit = f"{service}.service"
        self._run = run

    def show(self) -> Dict[str, str]:
        names = "LoadState,ActiveState,SubState,MainPID,NRestarts,UnitFileState,NeedDaemonReload,Result,FragmentPath"
        code, answer = self._run(["systemctl", "show", self.unit, "-p", names + ",Environment,User,DropInPaths"])
        if code:
            raise ServiceProblem(
                f"systemctl show {self.unit} fails: {answer.strip()}.", "Look at systemd on this host."
            )
        return dict(line.split("=", 1) for line in lines(answer) if "=" in line)

    def state(self) -> State:
        told = self.show()
        result = told.get("Result", "success")
        return State(
            known=told.get("LoadState") not in ("not-found", None),
            active=told.get("ActiveState") in ("active", "activating", "reloading")
            and told.get("SubState") != "auto-restart",
            enabled=told.get("UnitFileState", "").startswith("enabled"),
            pid=int(told.get("MainPID") or 0),
            restarts=int(told.get("NRestarts") or 0),
            stale=told.get("NeedDaemonReload") == "yes",
            failure="" if result == "success" else result,
        )

    def environment(self) -> Dict[str, str]:
        """What the unit and its drop-ins set, as systemd understood it."""
        words = shlex.split(self.show().get("Environment", ""))
        return dict(word.split("=", 1) for word in words if "=" in word)

    def environment_files(self) -> List[str]:
        """What the unit and its drop-ins name, one a line: /etc/default/ollama (ignore_errors=yes)."""
        _code, answer = self._run(["systemctl", "show", self.unit, "-p", "EnvironmentFiles"])
        told = [line.split("=", 1)[1] for line in lines(answer) if line.startswith("EnvironmentFiles=/")]
        return [line.rsplit(" (", 1)[0] for line in told]

    def command(self, verb: str) -> None:
        argv = ["systemctl", verb] if verb == "daemon-reload" else ["systemctl", verb, self.unit]
        if verb in ("start", "restart"):
            # A service that ran into its start limit would refuse the very start that is to repair it.
            self._run(["systemctl", "reset-failed", self.unit])
        code, answer = self._run(argv)
        if verb == "stop":
            # What failed before is no news of a service that was told to stop.
            self._run(["systemctl", "reset-failed", self.unit])
        if code:
            raise ServiceProblem(
                f"{' '.join(argv)} fails: {answer.strip()}.{last_words(self.log_tail)}", f"Look at: {self.log_command}"
            )

    def log_tail(self, count: int) -> List[str]:
        """The service's own last lines; where it said nothing, what systemd says of it."""
        for which in ([f"_SYSTEMD_UNIT={self.unit}"], ["-u", self.unit]):
            code, answer = self._run(["journalctl", *which, "-n", str(count), "--quiet", "--no-pager", "-o", "cat"])
            if not code and answer.strip():
                return lines(answer.strip())
        return []

    @property
    def log_command(self) -> str:
        return f"journalctl -u {self.unit} -n 50"


Manager = Union[Systemd, Supervisord]


def manager(name: str, service: str, run: Run = run_command) -> Manager:
    return Systemd(service, run) if name == "systemd" else Supervisord(service, run)
