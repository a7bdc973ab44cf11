# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Files of ours written whole or not at all, with the owner and mode that were asked for, whatever the umask."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
from typing import Iterator, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_entry

# What a killed run leaves is named so.
WORKSHOP = ".gguf-fleet-"
_ATTEMPTS = 100
_LEFT = re.compile(re.escape(WORKSHOP) + "[0-9a-f]{16}")


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
    if directory.only_root_changes_it():
        _replace(directory, name, data, mode=mode, owner=owner, durable=durable)
    else:
        with workshop(directory) as inside:
            write_new(inside, "file", data, mode=mode, owner=owner, durable=durable)
            os.rename("file", name, src_dir_fd=inside.fd, dst_dir_fd=directory.fd)
    if durable:
        os.fsync(directory.fd)


def _replace(
    directory: Directory, name: str, data: bytes, *, mode: int, owner: Optional[Tuple[int, int]], durable: bool
) -> None:
    """Where nobody else can swap it, the new file lies beside its place: a kill after the rename leaves nothing."""
    _remove_left_ones(directory)
    for attempt in range(_ATTEMPTS):
        temporary = WORKSHOP + secrets.token_hex(8)
        try:
            write_new(directory, temporary, data, mode=mode, owner=owner, durable=durable)
            os.rename(temporary, name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
            return
        except FileNotFoundError:
            # Another writer took it for one that a killed run left.
            if attempt == _ATTEMPTS - 1:
                raise
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=directory.fd)
            raise


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
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
    _remove_left_ones(directory)
    name, inside = _open_workshop(directory)
    with inside:
        try:
            yield inside
        finally:
            with contextlib.suppress(OSError):
                remove_entry(directory, name)


def _open_workshop(directory: Directory) -> Tuple[str, Directory]:
    while True:
        name = WORKSHOP + secrets.token_hex(8)
        os.mkdir(name, 0o700, dir_fd=directory.fd)
        # Until it is locked, another writer may take it for one that a killed run left.
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            inside = directory.enter(name)
            try:
                status = os.fstat(inside.fd)
                if not directory.is_own(status) or status.st_mode & 0o077:
                    raise PermissionError(f"{directory.path}: somebody replaced a directory while it was being used")
                _lock(inside)
                if directory.status(name) is not None:
                    return name, inside
            except BaseException:
                inside.close()
                raise
            inside.close()


def _lock(workshop_directory: Directory) -> bool:
    """Whether it is ours now, as long as it is open; false where the file system has no locks."""
    try:
        fcntl.flock(workshop_directory.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _remove_left_ones(directory: Directory) -> None:
    """What killed runs left in there: directories whose lock nobody holds, and files that nobody writes any more."""
    for name in os.listdir(directory.fd):
        if _LEFT.fullmatch(name) is None:
            continue
        with contextlib.suppress(OSError):
            status = directory.status(name)
            if status is None or not directory.is_own(status):
                continue
            if stat.S_ISDIR(status.st_mode):
                with directory.enter(name) as left:
                    if _lock(left):
                        remove_entry(directory, name)
            elif stat.S_ISREG(status.st_mode):
                descriptor = directory.open_file(name)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(name, dir_fd=directory.fd)
                finally:
                    os.close(descriptor)
