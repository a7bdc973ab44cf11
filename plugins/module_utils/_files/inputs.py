# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Files that an operator names and that may lie where others can change the directory.

One descriptor serves from the first look to the last use. Root lends its rights to nobody: a name in a directory of
somebody else that leads to a file which that user could not read is refused, since it was put there to have us read it.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem

_MAX_LINKS = 40


@dataclass(frozen=True)
class Input:
    """An open regular file, with what its directory told of it. Whoever opened it closes `fd`."""

    fd: int
    path: str  # without links
    shared: bool  # others than root can put something else at this path
    takeable: bool  # it may become root's: nobody but those who could remove it anyway loses it


def open_input(path: str) -> Input:
    """The regular file at `path`, through links only where nobody else could have made them.

    Raises FileNotFoundError, PathProblem (a foreign link, a FIFO, a directory, a file of somebody else), OSError.
    """
    for _link in range(_MAX_LINKS):
        folder, name = os.path.split(os.path.abspath(path))
        if not name:
            break
        with Directory.open(folder) as directory:
            target = directory.link_target(name)
            if target is None:
                return _opened(directory, name)
            path = os.path.join(directory.real_path(), target)
    raise PathProblem(f"{path} names no file.", "Name the file itself.", errno.EINVAL)


def input_size(path: str) -> int:
    """The size of what open_input would open. Raises as it does."""
    found = open_input(path)
    try:
        return os.fstat(found.fd).st_size
    finally:
        os.close(found.fd)


def identity(status: os.stat_result) -> Tuple[int, int]:
    """What makes two names the same file."""
    return status.st_dev, status.st_ino


def _opened(directory: Directory, name: str) -> Input:
    descriptor = directory.open_file(name)
    try:
        status, path = os.fstat(descriptor), os.path.join(directory.real_path(), name)
        if directory.only_root_changes_it():
            return Input(descriptor, path, shared=False, takeable=True)
        owner = os.fstat(directory.fd).st_uid
        takeable = status.st_nlink == 1 or (status.st_uid == owner and owner != os.geteuid())
        if not takeable and not status.st_mode & stat.S_IROTH:
            raise PathProblem(
                f"{path} is another hard link to a file that is closed to others, in a directory that they can change.",
                "Name the file by its own path, below directories of root.",
                errno.EACCES,
            )
        return Input(descriptor, path, shared=True, takeable=takeable)
    except BaseException:
        os.close(descriptor)
        raise
