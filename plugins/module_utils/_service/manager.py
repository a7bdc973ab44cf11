# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The two ways to keep a service running: systemd, and the script where there is none. Both read the same unit."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import dataclass
from typing import Callable, Dict, List, Sequence, Tuple, Union

from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import open_regular
from ansible_collections.gguf.fleet.plugins.module_utils._process.bounded import ProcessProblem, run_bounded
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines

SCRIPT = "/usr/local/lib/gguf-fleet/service"
UNITS = {"systemd": "/etc/systemd/system", "script": "/etc/gguf-fleet/services"}
# Longer than systemd's own limit for stopping a service, 90 s.
COMMAND_SECONDS = 200.0

LAST_WORDS_LINES = 8
LOG_TAIL_BYTES = 64 * 2**10
COMMAND_BYTES = 4 * 2**20

Run = Callable[[Sequence[str]], Tuple[int, str]]


def last_words(log_tail: Callable[[int], List[str]]) -> str:
    """A sentence with the end of a service's log, or nothing when there is none."""
    said = [line.strip()[:200] for line in log_tail(LAST_WORDS_LINES) if line.strip()]
    return f" Its last words: {' | '.join(said)}" if said else ""


def run_command(argv: Sequence[str]) -> Tuple[int, str]:
    """The exit code, and what it wrote: its output first, then its errors."""
    environment = {**os.environ, "LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
    try:
        ended = run_bounded(argv, seconds=COMMAND_SECONDS, limit_bytes=COMMAND_BYTES, environment=environment)
    except ProcessProblem as error:
        return 127, error.problem
    return ended.code, (ended.stdout + ended.stderr).decode("utf-8", "replace")


def detect(proc: str = "/proc", run: Run = run_command) -> Tuple[str, str]:
    """Which manager this host has, and why: systemd counts only when it is PID 1 and answers."""
    with open(os.path.join(proc, "1", "comm"), encoding="utf-8") as stream:
        first = stream.read().strip()
    if first != "systemd":
        return "script", f"PID 1 is {first}"
    _code, answer = run(["systemctl", "is-system-running"])
    state = answer.strip().split("\n")[-1] if answer.strip() else "silent"
    if state in ("offline", "unknown", "silent") or _code == 127:
        return "script", f"PID 1 is systemd, but it does not answer ({state})"
    return "systemd", f"PID 1 is systemd ({state})"


@dataclass(frozen=True)
class State:
    """What a service is doing now."""

    known: bool
    active: bool
    enabled: bool
    pid: int
    restarts: int
    stale: bool = False  # the manager has not read the unit's last change
    failure: str = ""


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
        if code:
            raise ServiceProblem(
                f"{' '.join(argv)} fails: {answer.strip()}.{last_words(self.log_tail)}", f"Look at: {self.log_command}"
            )

    def log_tail(self, count: int) -> List[str]:
        code, answer = self._run(["journalctl", "-u", self.unit, "-n", str(count), "--no-pager", "-o", "cat"])
        return lines(answer.strip()) if not code else []

    @property
    def log_command(self) -> str:
        return f"journalctl -u {self.unit} -n 50"


class Script:
    name = "script"

    def __init__(self, service: str, run: Run = run_command, script: str = SCRIPT) -> None:
        self.service = service
        self.script = script
        self._run = run

    def _told(self) -> Dict[str, object]:
        if not os.path.exists(self.script):
            return {}
        _code, answer = self._run([sys.executable, self.script, "status", self.service, "--json"])
        try:
            told = json.loads(answer)
        except ValueError:
            told = {}
        return told if isinstance(told, dict) else {}

    def state(self) -> State:
        told = self._told()
        return State(
            known=os.path.exists(os.path.join(UNITS["script"], f"{self.service}.service")),
            active=bool(told.get("active")),
            enabled=True,  # nothing starts a container's services but its entry point
            pid=int(str(told.get("pid") or 0)),
            restarts=int(str(told.get("restarts") or 0)),
            failure=str(told.get("last_exit") or ""),
        )

    def command(self, verb: str) -> None:
        if verb not in ("start", "stop", "restart"):
            return
        code, answer = self._run([sys.executable, self.script, verb, self.service])
        if code:
            raise ServiceProblem(
                f"{self.script} {verb} {self.service} fails: {answer.strip()}.{last_words(self.log_tail)}",
                f"Look at: {self.log_command}",
            )

    def log_tail(self, count: int) -> List[str]:
        try:
            with os.fdopen(open_regular(f"/var/log/gguf-fleet/{self.service}.log"), "rb") as stream:
                stream.seek(max(0, os.fstat(stream.fileno()).st_size - LOG_TAIL_BYTES))
                return lines(stream.read(LOG_TAIL_BYTES).decode("utf-8", "replace"))[-count:]
        except OSError:
            return []

    @property
    def log_command(self) -> str:
        return f"tail -n 50 /var/log/gguf-fleet/{self.service}.log"


Manager = Union[Systemd, Script]


def manager(name: str, service: str, run: Run = run_command) -> Manager:
    return Systemd(service, run) if name == "systemd" else Script(service, run)
