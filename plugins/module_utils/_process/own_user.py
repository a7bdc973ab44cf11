# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Programs that do long work as a user of their own: no other right, no network, and nothing of theirs stays.

The user runs nothing but this work, so all of its processes are ended with it, and those that a killed run left.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Callable, Mapping, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._process import rights
from ansible_collections.gguf.fleet.plugins.module_utils._process.bounded import ProcessProblem

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LINE_BYTES = 1 << 16
# A single file of a work is not larger.
_FILE_BYTES = 8 << 30
_BEAT_SECONDS = 1.0


@dataclass(frozen=True)
class User:
    """Who the work is done as. Where the caller is not root, it is done as the caller."""

    uid: int
    gid: int


def run_as(
    user: User,
    argv: Sequence[str],
    *,
    directory: int,
    environment: Mapping[str, str],
    seconds: float,
    on_line: Callable[[str], object],
    beat: Callable[[], object] = lambda: None,
) -> int:
    """Run a program until it ends; its exit code (negative: the signal that ended it).

    Args:
        argv: the program (a whole path) and its arguments.
        directory: descriptor of the directory that it runs in.
        environment: all that it gets; nothing of ours is inherited.
        seconds: after this time it is ended.
        on_line: gets each line of what it writes, without its end, cut where it is longer than 64 KiB.
        beat: is called about once a second.

    Raises ProcessProblem. Whatever happens, no process of the user is left.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
            preexec_fn=_become(user, directory),  # noqa: PLW1509 - it takes no lock
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "strerror", None) or "the kernel does not allow it"
        raise ProcessProblem(f"{argv[0]} cannot be started: {reason}.", "Check the package that it is from.") from error
    try:
        _read(process, time.monotonic() + seconds, on_line, beat)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        end_all(user)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    return process.returncode


def _read(
    process: subprocess.Popen[bytes], end: float, on_line: Callable[[str], object], beat: Callable[[], object]
) -> None:
    if process.stdout is None:
        raise AssertionError("started with a pipe")
    begun = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if time.monotonic() >= end:
                raise ProcessProblem("The work did not end in time.", "It was ended; run again to go on.")
            beat()
            if not selector.select(_BEAT_SECONDS):
                # What it started may hold the pipe open; its own end is the end.
                if process.poll() is not None:
                    break
                continue
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                break
            *whole, begun = (begun + data).split(b"\n")
            for line in whole:
                on_line(line[:_LINE_BYTES].decode("utf-8", "replace"))
            begun = begun[:_LINE_BYTES]
    if begun:
        on_line(begun.decode("utf-8", "replace"))
    while process.poll() is None:
        if time.monotonic() >= end:
            raise ProcessProblem("The work did not end in time.", "It was ended; run again to go on.")
        time.sleep(0.05)


def end_all(user: User) -> None:
    """End every process of the user, whoever started it. The user must do nothing but such work."""
    if os.geteuid() != 0 or user.uid == 0:
        return
    child = os.fork()
    if child == 0:
        try:
            rights.become(user.uid, user.gid)
            # All that this user may signal, but for the caller itself: no process can start another one faster.
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            pass
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _become(user: User, directory: int) -> Callable[[], None]:
    # Loaded here: between fork and exec nothing may be imported.
    libc = ctypes.CDLL(None, use_errno=True)
    as_root = os.geteuid() == 0
    limits: Tuple[Tuple[int, int], ...] = ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, _FILE_BYTES))

    def become() -> None:
        os.umask(0o022)
        os.fchdir(directory)
        if as_root:
            # A container that may not do this leaves its own network.
            libc.unshare(rights.CLONE_NEWNET)
            rights.become(user.uid, user.gid)
        rights.bound(limits)
        # It does not outlive the run that watches it.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        rights.no_new_privileges(libc)

    return become
