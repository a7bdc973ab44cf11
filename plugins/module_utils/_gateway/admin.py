# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""HAProxy's admin socket: commands, what runs, and a reload that is known to have happened."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from typing import Callable, Dict, List, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._host import processes
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines

RUN = "/run/gguf-fleet"
ANSWER_SECONDS = 10.0
# 1,000 servers take about 200 KB.
MAX_BYTES = 16 * 2**20
RELOAD_SECONDS = 15.0
_POLL_SECONDS = 0.1


class AdminProblem(Problem):
    """HAProxy does not answer on its socket, or refuses a command."""


def socket_path(name: str) -> str:
    """name: `gateway` or `door`. Only root can enter names there."""
    return f"{RUN}/{name}.sock"


def ask(path: str, command: str, payload: Sequence[str] = ()) -> str:
    """The answer to one command, which may take lines as its payload. Raises AdminProblem where none comes in time."""
    if "\n" in command or ";" in command or any(not line.strip() or "\n" in line for line in payload):
        raise AdminProblem(f"{command!r} is more than one command.", "Give one.")
    text = "".join((f"{command} <<\n", *(f"{line}\n" for line in payload), "\n")) if payload else f"{command}\n"
    deadline = time.monotonic() + ANSWER_SECONDS
    answer = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(path)
            connection.sendall(text.encode())
            while True:
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                data = connection.recv(65536)
                if not data:
                    break
                answer += data
                if len(answer) > MAX_BYTES:
                    raise AdminProblem(f"{path} answers without end.", "Check which program listens there.")
    except OSError as error:
        raise AdminProblem(
            f"HAProxy does not answer on {path}: {error.strerror or error}.", "Check whether its service runs."
        ) from error
    return answer.decode("utf-8", "replace")


def info(path: str) -> Optional[Dict[str, str]]:
    """`show info` of the HAProxy that runs; None where none answers."""
    try:
        answer = ask(path, "show info")
    except AdminProblem:
        return None
    pairs = (line.partition(":") for line in lines(answer) if ":" in line)
    return {name.strip().lower(): value.strip() for name, _colon, value in pairs}


def running(path: str) -> Optional[str]:
    """The `description` of the configuration that runs, empty where it has none; None where HAProxy does not run."""
    told = info(path)
    return None if told is None else told.get("description", "")


def reload(
    path: str,
    description: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Let HAProxy take up its configuration, which has this description. Raises AdminProblem where it did not.

    The process that answers is a worker; its parent starts another one at SIGUSR2, which takes over the ports. Requests
    that run end in the old one.
    """
    master = _master(worker(path))
    with contextlib.suppress(ProcessLookupError):
        os.kill(master, signal.SIGUSR2)
    end = clock() + RELOAD_SECONDS
    while running(path) != description:
        if clock() >= end:
            raise AdminProblem(
                f"HAProxy did not take up its new configuration within {RELOAD_SECONDS:.0f} s.",
                "Its log says why: most often another program uses the port.",
            )
        sleep(_POLL_SECONDS)


def worker(path: str) -> int:
    """The process that answers. Raises AdminProblem."""
    return int(_info_of_a_worker(path)["pid"])


def seconds_since_reload(path: str) -> Optional[int]:
    """How long ago the process that answers followed another one, which still ends what it streams.

    None where there is no such process any more. Raises AdminProblem.
    """
    told = _info_of_a_worker(path)
    pid = int(told["pid"])
    master = _master(pid)
    others = set(processes.family(master)) - {master, pid}
    return int(told.get("uptime_sec", "0")) if others else None


def _info_of_a_worker(path: str) -> Dict[str, str]:
    told = info(path) or {}
    if not told.get("pid", "").isdigit():
        raise AdminProblem(f"HAProxy does not answer on {path}.", "Check whether its service runs.")
    return told


def _master(pid: int) -> int:
    """The parent of a worker."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            parent = int(stream.read().rsplit(")", 1)[1].split()[1])
        with open(f"/proc/{parent}/cmdline", "rb") as stream:
            command = stream.read().split(b"\0")
    except (OSError, ValueError, IndexError) as error:
        raise AdminProblem(f"The process {pid} of HAProxy ended meanwhile.", "Run again.") from error
    if b"haproxy" not in os.path.basename(command[0]):
        raise AdminProblem(
            f"The process {parent}, which started HAProxy, is not its master.", "Let the service of gguf.fleet run it."
        )
    return parent


def rows(answer: str) -> List[Dict[str, str]]:
    """The lines of a `show stat` by its column names."""
    found = lines(answer)
    names = found[0].lstrip("# ").split(",") if found else []
    return [dict(zip(names, line.split(","))) for line in found[1:] if line and not line.startswith("#")]
