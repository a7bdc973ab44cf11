# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Services that still run by the script of earlier versions: seen, stopped, and started again when a move fails."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any, Dict, List, Mapping

from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._host import processes
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.state import Run

SCRIPT = "/usr/local/lib/gguf-fleet/service"
UNITS = "/etc/gguf-fleet/services"
RUN = "/run/gguf-fleet"
# The script gave a service 60 s to end, then killed it.
STOP_SECONDS = 120.0


def names() -> List[str]:
    """The services that it has, sorted."""
    try:
        units = os.listdir(UNITS)
    except OSError:
        return []
    return sorted(name[: -len(".service")] for name in units if name.endswith(".service"))


def files(name: str) -> List[str]:
    """What goes with the service when it moves; with the last one the script itself."""
    own = [os.path.join(UNITS, f"{name}.service"), os.path.join(UNITS, f"{name}.service.d", "gguf-fleet.conf")]
    return own if set(names()) - {name} else [*own, SCRIPT]


def is_there(name: str) -> bool:
    return os.path.exists(os.path.join(UNITS, f"{name}.service"))


def running(name: str) -> Dict[str, Any]:
    """What it noted of a service that it runs now (supervisor, pid, restarts, last_exit); else nothing."""
    try:
        told = json.loads(read_file(os.path.join(RUN, f"{name}.json")))
        alive = processes.start_time(told["supervisor"]) == told["supervisor_start"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    if not alive:
        return {}
    pid = told.get("pid") or 0
    return {**told, "pid": pid if pid and processes.start_time(pid) == told.get("pid_start") else 0}


def refuse_entry_point(name: str) -> None:
    """Raises ServiceProblem when the script is what the container runs: it would end with the script."""
    told = running(name)
    words = processes.describe(told["supervisor"]).command.split() if told else []
    if "run" in words[1:]:
        raise ServiceProblem(
            f"The script {SCRIPT}, by which {name} still runs, is this container's entry point, and a move to "
            "supervisord would end the container. It was not changed.",
            "Start a container of the same image and volumes with `sleep infinity` as its command and run again there; "
            "then give it the entry point /usr/local/lib/gguf-fleet/supervisord -n.",
        )


def stop(told: Mapping[str, Any], name: str) -> None:
    """Raises ServiceProblem when it does not end."""
    os.kill(int(told["supervisor"]), signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while running(name):
        if time.monotonic() >= end:
            raise ServiceProblem(
                f"{name} does not end, which still runs by {SCRIPT}.", f"Look at /var/log/gguf-fleet/{name}.log."
            )
        time.sleep(0.1)


def start(name: str, run: Run) -> None:
    """Raises ServiceProblem when it does not start."""
    code, answer = run([sys.executable, SCRIPT, "restart", name])
    if code:
        raise ServiceProblem(
            f"{SCRIPT} restart {name} fails: {answer.strip()}.", f"Look at /var/log/gguf-fleet/{name}.log."
        )
