# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The system's own programs, bounded in time and output: a driver that hangs must not hang us.

What nothing vouches for yet runs by unproved.py instead, which adds the loss of all rights to these bounds.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Type

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

# A program that waits in the kernel for a device takes no signal.
_KILL_SECONDS = 5.0


class ProcessProblem(Problem):
    """The program did not end in time, wrote too much, or cannot be started at all."""


@dataclass(frozen=True)
class Ended:
    """How the program ended: its exit code (negative: the signal that ended it), and what it wrote."""

    code: int
    stdout: bytes
    stderr: bytes


def run_bounded(
    argv: Sequence[str],
    *,
    seconds: float,
    limit_bytes: int = 2**20,
    environment: Optional[Mapping[str, str]] = None,
) -> Ended:
    """Run a program of the system (a whole path first) with our own rights until it ends.

    Args:
        argv: the program and its arguments.
        seconds: after this time it is killed with all of its process group; what it left running when it ended stays.
        limit_bytes: of standard output and error, each; one byte more kills it.
        environment: instead of our own, where given.

    Raises ProcessProblem.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )
    except OSError as error:
        raise ProcessProblem(
            f"{argv[0]} cannot be started: {error.strerror or error}.", "Check the package that it is from."
        ) from error
    return collect(process, argv[0], seconds, limit_bytes, spare_children=True)


def collect(
    process: subprocess.Popen[bytes],
    program: str,
    seconds: float,
    limit_bytes: int,
    problem: Type[ProcessProblem] = ProcessProblem,
    *,
    spare_children: bool = False,
) -> Ended:
    """Read what a process with pipes for both its outputs writes, until it ends.

    Then nothing of it is left, but a service that a program of the system started, where children are to be spared.
    """
    ended = False
    try:
        stdout, stderr = _read(process, program, seconds, limit_bytes, problem)
        ended = True
    finally:
        if not (ended and spare_children):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        _close(process)
    return Ended(process.returncode, stdout, stderr)


def _read(
    process: subprocess.Popen[bytes],
    program: str,
    seconds: float,
    limit_bytes: int,
    problem: Type[ProcessProblem],
) -> Tuple[bytes, bytes]:
    deadline = time.monotonic() + seconds
    late = problem(f"{program} did not end within {seconds:.0f} s.", "It was killed: it does not run here.")
    written: Dict[Any, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for stream in written:
            selector.register(stream, selectors.EVENT_READ)
        # What it left running may hold the pipes open: the end of the program itself is the end of the wait.
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise late
            ready = selector.select(min(left, 0.2))
            if not ready and _has_ended(process):
                break
            for key, _events in ready:
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fileobj)
                written[key.fileobj] += data
                if len(written[key.fileobj]) > limit_bytes:
                    raise problem(
                        f"{program} wrote more than {limit_bytes} bytes.",
                        "It was killed: it is not the program that was expected.",
                    )
    while not _has_ended(process):
        if time.monotonic() >= deadline:
            raise late
        time.sleep(0.01)
    stdout, stderr = written.values()
    return bytes(stdout), bytes(stderr)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    # Not waited for yet: its process group's number stays taken until the group is killed.
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _close(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_KILL_SECONDS)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
