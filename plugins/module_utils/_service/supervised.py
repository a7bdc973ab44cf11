# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A service that supervisord keeps running, where there is no systemd."""

from __future__ import annotations

import glob
import json
import os
import time
from typing import Any, Dict, List, Set

from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import open_regular, read_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_file
from ansible_collections.gguf.fleet.plugins.module_utils._host import processes
from ansible_collections.gguf.fleet.plugins.module_utils._service import old_script
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.state import Run, State, last_words, run_command
from ansible_collections.gguf.fleet.plugins.module_utils._service.supervisord import (
    CONTROL,
    DAEMON,
    LOGS,
    PROGRAMS,
    RUN,
    RUN_SERVICE,
    program_path,
)
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines

LOG_TAIL_BYTES = 64 * 2**10
# As long as systemd lets a service wait for its lock.
START_SECONDS = 90.0
_NOTED = ("pid", "pid_start", "starts", "runs", "lasted")


def services(prefix: str) -> List[str]:
    """The services of ours whose names begin with this, those of the script of earlier versions too; sorted."""
    found = _programs(prefix) | {name for name in old_script.names() if name.startswith(prefix)}
    return sorted(found)


def _programs(prefix: str = "") -> Set[str]:
    files = glob.glob(os.path.join(PROGRAMS, f"{glob.escape(prefix)}*.conf"))
    return {os.path.basename(path)[: -len(".conf")] for path in files}


class Supervisord:
    """Where the script of earlier versions still has a unit of the service, that is what is started."""

    name = "supervisord"

    def __init__(self, service: str, run: Run = run_command) -> None:
        self.service = service
        self._run = run

    def state(self) -> State:
        known = os.path.exists(program_path(self.service)) or old_script.is_there(self.service)
        old = old_script.running(self.service)
        if old:
            return State(
                known=known,
                active=bool(old["pid"]),
                enabled=True,
                pid=int(old["pid"]),
                restarts=int(old.get("restarts") or 0),
                failure=str(old.get("last_exit") or ""),
            )
        told = self._record()
        alive = bool(told) and processes.start_time(told["pid"]) == told["pid_start"]
        runs = alive and bool(told["runs"])
        return State(
            known=known,
            active=runs,
            enabled=True,  # nothing starts a container's services but its entry point
            pid=int(told["pid"]) if runs else 0,
            restarts=max(int(told["starts"]) - 1, 0) if alive else 0,
            failure=f"it ran for {told['lasted']:.0f} s" if alive and not runs else "",
        )

    def command(self, verb: str) -> None:
        """Raises ServiceProblem."""
        if verb == "daemon-reload":
            self._forget_what_is_gone()
        elif verb == "stop":
            self._stop()
        elif verb in ("start", "restart"):
            self._stop()
            if old_script.is_there(self.service):
                old_script.start(self.service, self._run)
            else:
                self._start()

    def log_tail(self, count: int) -> List[str]:
        try:
            with os.fdopen(open_regular(f"{LOGS}/{self.service}.log"), "rb") as stream:
                stream.seek(max(0, os.fstat(stream.fileno()).st_size - LOG_TAIL_BYTES))
                return lines(stream.read(LOG_TAIL_BYTES).decode("utf-8", "replace"))[-count:]
        except OSError:
            return []

    @property
    def log_command(self) -> str:
        return f"tail -n 50 {LOGS}/{self.service}.log"

    def _record(self) -> Dict[str, Any]:
        """What run-service noted: the start that is now, or that waits."""
        try:
            told = json.loads(read_file(self._record_path()))
            return {name: float(told[name]) if name == "lasted" else int(told[name]) for name in _NOTED}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _record_path(self) -> str:
        return os.path.join(RUN, f"{self.service}.start")

    def _runs(self) -> bool:
        """Whether supervisord does, and answers."""
        return os.path.exists(CONTROL) and self._run([CONTROL, "pid"])[0] == 0

    def _stop(self) -> None:
        told = old_script.running(self.service)
        if told:
            old_script.stop(told, self.service)
        if os.path.exists(program_path(self.service)) and self._runs():
            self._ask("stop", self.service, may_fail=("no such process", "no such group"))
        if os.path.exists(RUN_SERVICE):
            code, answer = self._run([RUN_SERVICE, "--end", self.service])
            if code:
                raise self._problem(f"{RUN_SERVICE} --end {self.service}", answer)
        # A start that was asked for does not wait as one after a crash.
        remove_file(self._record_path())

    def _start(self) -> None:
        if self._runs():
            self._ask("update", self.service)
        else:
            code, answer = self._run([DAEMON])
            if code:
                raise self._problem(DAEMON, answer)
        # What was just added starts by itself; once more is no mistake.
        self._ask("start", self.service)
        end = time.monotonic() + START_SECONDS
        while not (now := self.state()).active:
            if now.failure or time.monotonic() >= end:
                raise self._problem(f"the start of {self.service}", now.failure or "it does not run")
            time.sleep(0.1)

    def _forget_what_is_gone(self) -> None:
        if os.path.exists(program_path(self.service)) or not self._runs():
            return
        self._ask("update", self.service, may_fail=("no such group",))
        if not _programs() and not self._is_entry_point():
            self._ask("shutdown")

    def _is_entry_point(self) -> bool:
        """In the foreground it is what the container runs: the container would end with it."""
        _code, answer = self._run([CONTROL, "pid"])
        words = processes.describe(int(answer)).command.split() if answer.strip().isdigit() else []
        return any(word in ("-n", "--nodaemon") for word in words)

    def _ask(self, *words: str, may_fail: Any = ()) -> None:
        code, answer = self._run([CONTROL, *words])
        if code and not any(text in answer for text in may_fail):
            raise self._problem(f"{CONTROL} {' '.join(words)}", answer)

    def _problem(self, what: str, answer: str) -> ServiceProblem:
        return ServiceProblem(
            f"{what} fails: {answer.strip()}.{last_words(self.log_tail)}", f"Look at: {self.log_command}"
        )
