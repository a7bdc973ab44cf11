# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Files of ours that grow under a known name: a merge's or download's temporary file, a journal, a lock.

The name can be foreseen, so in a directory of somebody else anything may wait there. Only a regular file that root (or
the user who runs this) made, and that has no other name, is gone on with.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem

# Who makes the name again that often does it on purpose.
_ATTEMPTS = 100
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def open_own(directory: Directory, name: str, flags: int = os.O_RDWR) -> int:
    """The file of ours at this name. Raises FileNotFoundError, PathProblem, OSError."""
    descriptor = directory.open_file(name, flags)
    try:
        check_own(directory, name, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_or_make_own(directory: Directory, name: str) -> int:
    """The same; a missing one is made, with mode 0600."""
    for _attempt in range(_ATTEMPTS):
        with contextlib.suppress(FileExistsError):
            return _made(directory, name)
        # It may go between the two looks.
        with contextlib.suppress(FileNotFoundError):
            return open_own(directory, name)
    raise _contended(directory, name)


def make_own(directory: Directory, name: str) -> int:
    """A new, empty file of mode 0600 in place of whatever file, link or FIFO had this name."""
    for _attempt in range(_ATTEMPTS):
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory.fd)
            return _made(directory, name)
        except FileExistsError:
            continue
        except IsADirectoryError:
            raise PathProblem(
                f"{os.path.join(directory.path, name)} is a directory.", "Remove it, then run again.", errno.EISDIR
            ) from None
    raise _contended(directory, name)


def take_name(directory: Directory, name: str, final: str, made: os.stat_result) -> None:
    """Give the file of ours with this status its final name in the same directory, in the place of what has it.

    Raises PathProblem where somebody else put another file in its place; that one has the final name then.
    """
    os.rename(name, final, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
    found = directory.status(final)
    if found is None or (found.st_dev, found.st_ino) != (made.st_dev, made.st_ino):
        raise PathProblem(
            f"Somebody put another file in the place of {os.path.join(directory.path, name)}.",
            "Choose a directory that only root can change.",
            errno.EBUSY,
        )
    os.fsync(directory.fd)


def check_own(directory: Directory, name: str, status: os.stat_result) -> None:
    """Raises PathProblem unless this is the status of a file that only we have written."""
    path = os.path.join(directory.path, name)
    remedy = f"Find out who made it, then remove it: rm {path}"
    if not directory.is_own(status):
        raise PathProblem(f"{path} belongs to another user.", remedy, errno.EPERM)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PathProblem(f"{path} can be written by other users.", remedy, errno.EPERM)
    if status.st_nlink != 1:
        # Writing to it would change a file that has another name.
        raise PathProblem(f"{path} has other hard links.", remedy, errno.EMLINK)


def _made(directory: Directory, name: str) -> int:
    descriptor = os.open(name, _NEW, 0o600, dir_fd=directory.fd)
    os.fchmod(descriptor, 0o600)
    return descriptor


def _contended(directory: Directory, name: str) -> PathProblem:
    return PathProblem(
        f"Another process makes and removes {os.path.join(directory.path, name)} all the time.",
        "Stop it, then run again.",
        errno.EBUSY,
    )
