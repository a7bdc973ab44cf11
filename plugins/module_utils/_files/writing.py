# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Files of ours written whole or not at all, with the owner and mode that were asked for, whatever the umask."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import Iterator, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_entry

# What a killed run leaves is named so.
WORKSHOP = ".gguf-fleet-"


def write_file(
    path: str,
    data: bytes,
    *,
    mode: int,
    owner: Optional[Tuple[int, int]] = None,
    make_parents: bool = False,
) -> None:
    """Put a file with this content, mode and (for root) owner at `path`, in one step that a crash does not tear.

    owner: (uid, gid), root's own by default. Raises FileNotFoundError, PathProblem, OSError; then nothing has changed.
    """
    with parent_of(path, make=make_parents) as (directory, name):
        write_in(directory, name, data, mode=mode, owner=owner)


def write_in(
    directory: Directory,
    name: str,
    data: bytes,
    *,
    mode: int,
    owner: Optional[Tuple[int, int]] = None,
    durable: bool = True,
) -> None:
    """The same for a name in a directory that is open already. What is not `durable` may be lost with the power."""
    with workshop(directory) as inside:
        write_new(inside, "file", data, mode=mode, owner=owner, durable=durable)
        os.rename("file", name, src_dir_fd=inside.fd, dst_dir_fd=directory.fd)
    if durable:
        os.fsync(directory.fd)


def write_new(
    directory: Directory,
    name: str,
    data: bytes,
    *,
    mode: int,
    owner: Optional[Tuple[int, int]] = None,
    durable: bool = True,
) -> None:
    """A file that is not there yet, in a directory of ours. Raises FileExistsError, OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=directory.fd)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if os.geteuid() == 0:
            os.fchown(descriptor, *(owner or (0, 0)))
        os.fchmod(descriptor, mode)
        if durable:
            os.fsync(descriptor)


@contextlib.contextmanager
def workshop(directory: Directory) -> Iterator[Directory]:
    """A directory in there for the time of making something, which only we can enter.

    In a directory of somebody else nobody swaps what is made in it before it is moved to its place by descriptor.
    """
    name = WORKSHOP + secrets.token_hex(8)
    os.mkdir(name, 0o700, dir_fd=directory.fd)
    try:
        with directory.enter(name) as inside:
            status = os.fstat(inside.fd)
            if not directory.is_own(status) or status.st_mode & 0o077:
                raise PermissionError(f"{directory.path}: somebody replaced a directory while it was being used")
            yield inside
    finally:
        with contextlib.suppress(OSError):
            remove_entry(directory, name)
