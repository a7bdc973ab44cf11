# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Removal by descriptors: what is removed lies below the directory that was opened, whatever others swap meanwhile."""

from __future__ import annotations

import contextlib
import os
import stat

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, parent_of


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
    with directory.enter(name) as below:
        if os.fstat(below.fd).st_dev != os.fstat(directory.fd).st_dev:
            raise OSError(f"{below.path} is a mount point: unmount it, then run again")
        for entry in below.names():
            remove_entry(below, entry)
    os.rmdir(name, dir_fd=directory.fd)
    return True
