# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Removal by descriptors: what is removed lies below the directory that was opened, whatever others swap meanwhile."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, parent_of

# Who makes directories as fast as we remove them does it on purpose.
_MAX_DIRECTORIES = 1_000_000


def remove_file(path: str) -> bool:
    """Remove the file or link at `path` itself; false when there was none. Raises PathProblem, OSError."""
    with contextlib.suppress(FileNotFoundError), parent_of(path) as (directory, name):
        os.unlink(name, dir_fd=directory.fd)
        return True
    return False


def remove_tree(path: str) -> bool:
    """Remove what is at `path` with all that is below it, on its own file system; false when there was nothing."""
    try:
        with parent_of(path) as (directory, name):
            return remove_entry(directory, name)
    except FileNotFoundError:
        return False


def remove_entry(directory: Directory, name: str) -> bool:
    """The same for a name in an open directory. A link is removed, never followed; a mount is refused."""
    status = directory.status(name)
    if status is None:
        return False
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=directory.fd)
        return True
    with directory.enter(name) as top:
        _refuse_mount(directory, top)
        _empty(top)
    os.rmdir(name, dir_fd=directory.fd)
    return True


def _empty(top: Directory) -> None:
    """Its owner decides how deep it is. What lies deeper is moved up, so that no depth takes more descriptors."""
    pending = top.names()
    for _directory in range(_MAX_DIRECTORIES):
        while pending and _unlinked(top, pending[-1]):
            pending.pop()
        if not pending:
            return
        name = pending.pop()
        with top.enter(name) as below:
            _refuse_mount(top, below)
            for entry in below.names():
                if not _unlinked(below, entry):
                    above = f".gguf-fleet-{secrets.token_hex(8)}"
                    os.rename(entry, above, src_dir_fd=below.fd, dst_dir_fd=top.fd)
                    pending.append(above)
        os.rmdir(name, dir_fd=top.fd)
    raise OSError(f"{top.path} grows while it is being removed")


def _unlinked(directory: Directory, name: str) -> bool:
    """Whether there is no directory of this name (any more)."""
    status = directory.status(name)
    if status is not None and stat.S_ISDIR(status.st_mode):
        return False
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory.fd)
    return True


def _refuse_mount(above: Directory, below: Directory) -> None:
    if _mount(above) != _mount(below):
        raise OSError(f"{below.path} is a mount point: unmount it, then run again")


def _mount(directory: Directory) -> Tuple[int, str]:
    """The device, and the mount: a bind mount of the same file system has another one."""
    number = ""
    with contextlib.suppress(OSError), open(f"/proc/self/fdinfo/{directory.fd}", encoding="ascii") as told:
        number = next((line for line in told if line.startswith("mnt_id:")), "")
    return os.fstat(directory.fd).st_dev, number
