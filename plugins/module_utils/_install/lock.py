# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One run at a time changes a directory: two controllers, or a run that outlived its connection, take turns."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import Iterator

from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

POLL_SECONDS = 0.2


def _open(directory: str) -> int:
    os.makedirs(directory, 0o755, exist_ok=True)
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _is_still(handle: int, directory: str) -> bool:
    """Whether the name leads to the locked directory: the run before may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(directory))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def exclusive(directory: str, seconds: float) -> Iterator[None]:
    """Wait for the runs before, at most so long. The kernel lets go of the lock with its process."""
    end = time.monotonic() + seconds
    while True:
        handle = _open(directory)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(handle, directory):
                break
        except BlockingIOError:
            if time.monotonic() >= end:
                os.close(handle)
                raise InstallProblem(
                    f"another run has been changing {directory} for {seconds:.0f} s.",
                    "Wait for it to end, then run again.",
                ) from None
            time.sleep(POLL_SECONDS)
        os.close(handle)
    try:
        yield
    finally:
        os.close(handle)
