# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Remove a shard whose bytes live on in the merged file, and only when nobody can miss it."""

from __future__ import annotations

import errno
import os
import stat
from typing import Optional

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem, parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import identity
from ansible_collections.gguf.fleet.plugins.module_utils._files.leases import UNUSED, refused_lease


def why_kept(path: str) -> Optional[str]:
    """Why the shard at path must not be removed, or None when it may be."""
    try:
        with parent_of(path) as (directory, name):
            return _why_kept(directory, name, None)
    except PathProblem as problem:
        return problem.problem
    except OSError as error:
        return f"it cannot be opened ({error.strerror})"


def remove_shard(path: str, device: int, inode: int) -> Optional[str]:
    """Remove the shard at path if it is this file and nobody can miss it; else why it was kept."""
    try:
        with parent_of(path) as (directory, name):
            reason = _why_kept(directory, name, (device, inode))
            if reason is None:
                os.unlink(name, dir_fd=directory.fd)
                os.fsync(directory.fd)
            return reason
    except PathProblem as problem:
        return problem.problem
    except OSError as error:
        return f"it cannot be removed ({error.strerror})"


def _why_kept(directory: Directory, name: str, expected: Optional[tuple[int, int]]) -> Optional[str]:
    status = directory.status(name)
    if status is not None and stat.S_ISLNK(status.st_mode):
        return "it is a symbolic link"
    handle = directory.open_file(name)
    try:
        status = os.fstat(handle)
        if expected is not None and identity(status) != expected:
            return "it is another file than the one that was merged"
        if status.st_nlink != 1:
            links = status.st_nlink - 1
            return f"it has {links} other hard link{'s' if links > 1 else ''}"
        return _opened_elsewhere(handle)
    finally:
        os.close(handle)


def _opened_elsewhere(handle: int) -> Optional[str]:
    """The kernel grants a write lease only on a file that nobody else has open or mapped, in whatever container."""
    refused = refused_lease(handle, UNUSED)
    if refused is None:
        return None
    if refused == errno.EAGAIN:
        return "a process has it open"
    return f"the kernel does not tell whether it is in use ({os.strerror(refused)})"
