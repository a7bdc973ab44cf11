# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Directories of the service user, who may be an attacker: made by root, or handed over by descriptor."""

from __future__ import annotations

import errno
import os
import stat
from typing import Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import workshop
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import StoreProblem


def make_directory(parent: Directory, name: str, owner: Tuple[int, int], aside: Directory) -> None:
    """A directory for this user, made `aside` on the same file system and moved to its place in one step."""
    with workshop(aside) as room:
        room.enter("file", make=True, mode=0o755, owner=owner).close()
        try:
            os.rename("file", name, src_dir_fd=room.fd, dst_dir_fd=parent.fd)
        except OSError as error:
            # Its owner was quicker: what he made is looked at next.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise


def hand_over(directory: Directory, owner: Tuple[int, int], *, placed_by_root: bool) -> None:
    """Give an open directory to this user (for root), and let its owner work in it.

    placed_by_root: only root can change where it lies. Elsewhere it may be one that was closed to whoever put it there.
    """
    status = os.fstat(directory.fd)
    foreign = (status.st_uid, status.st_gid) != owner and os.geteuid() == 0
    closed = status.st_mode & stat.S_IRWXU != stat.S_IRWXU
    if foreign and status.st_uid != owner[0] and not placed_by_root and not _open_to_all(status):
        raise StoreProblem(
            f"{directory.path} belongs to user {status.st_uid} and is closed to others, in a directory that others can "
            "change.",
            f"If it is the store's: chown {owner[0]}:{owner[1]} {directory.path}",
        )
    if foreign:
        os.fchown(directory.fd, *owner)
    if closed:
        os.fchmod(directory.fd, stat.S_IMODE(status.st_mode) | stat.S_IRWXU)


def _open_to_all(status: os.stat_result) -> bool:
    return status.st_mode & 0o005 == 0o005
