# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One run at a time: locks that the kernel lets go of with their process.

Whoever can open a file can lock it. So the file of `exclusive` has mode 0600, in a directory that only root can enter.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from typing import Iterator

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

POLL_SECONDS = 0.2


class LockProblem(Problem):
    """Another run has held the lock for too long."""


@contextlib.contextmanager
def exclusive(folder: str, name: str, seconds: float, what: str) -> Iterator[None]:
    """Hold the lock of this name below `folder`, after waiting for the runs before, at most so long.

    folder: a directory for nothing but locks; it and the lock are made where they are missing, and closed to others
    where they were open. what: what is being changed, for the message. Raises LockProblem, PathProblem, OSError.
    """
    above, last = os.path.split(os.path.abspath(folder))
    with Directory.open_private(above, make=True) as parent, parent.enter(last, make=True, mode=0o700) as directory:
        status = os.fstat(directory.fd)
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise PathProblem(
                f"{directory.path} holds locks, and other users can change it.", "Remove it, then run again."
            )
        os.fchmod(directory.fd, 0o700)
        descriptor = _open(directory, name)
    try:
        _wait(descriptor, seconds, what)
        yield
    finally:
        os.close(descriptor)


def wait_for_turn(directory: Directory) -> None:
    """Hold the lock of an open directory until it is closed, after the runs that hold it now, however long they do.

    For a file of the controller that is read, changed and written whole. Where the file system has no locks (NFS for a
    directory), each write is still whole; the last one wins.
    """
    with contextlib.suppress(OSError):
        fcntl.flock(directory.fd, fcntl.LOCK_EX)


def _open(directory: Directory, name: str) -> int:
    descriptor = directory.open_file(name, os.O_RDWR | os.O_CREAT)
    status = os.fstat(descriptor)
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == 0o600:
        return descriptor
    os.close(descriptor)
    raise PathProblem(
        f"{os.path.join(directory.path, name)} is a lock that others can hold.", "Remove it, then run again."
    )


def _wait(descriptor: int, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                raise LockProblem(
                    f"another run has been changing {what} for {seconds:.0f} s.",
                    "Wait for it to end, then run again.",
                ) from None
            time.sleep(POLL_SECONDS)
