# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Directories entered by descriptors, so that nobody can swap what we look at for something else.

A path is walked one name at a time. A symbolic link is followed only where nobody but root (or the user who runs this)
could have made it; everywhere else it is refused, whoever owns the directory behind it. What was opened stays what is
used: callers work through the descriptor, never through the path again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import Iterator, List, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What the kernel says of names that are no regular files
_KINDS = {errno.ELOOP: "a link", errno.ENXIO: "a pipe or socket", errno.EISDIR: "a directory"}
# As many as the kernel follows in one path.
_MAX_LINKS = 40


class PathProblem(Problem, OSError):
    """A path cannot be used safely, or not at all; `errno` tells the kernel's reason where there is one."""

    def __init__(self, problem: str, remedy: str, number: Optional[int] = None) -> None:
        Problem.__init__(self, problem, remedy)
        self.errno = number


class Directory:
    """An open directory. Use it as a context manager, or call close()."""

    def __init__(self, descriptor: int, path: str) -> None:
        self.fd = descriptor
        self.path = path

    @classmethod
    def open(cls, path: str, *, make: bool = False, mode: int = 0o755) -> Directory:
        """The directory at `path`; with `make`, missing ones are made with this mode, whatever the umask.

        Raises PathProblem for a link that somebody else could have made and for what is no directory, and
        FileNotFoundError where it is missing.
        """
        return cls(_walk(os.path.abspath(path), make, mode), os.path.abspath(path))

    @classmethod
    def open_private(cls, path: str, *, make: bool = False, mode: int = 0o755) -> Directory:
        """The same, where nobody but root (or the user who runs this) can change what is in it or put another there."""
        return cls(_walk(os.path.abspath(path), make, mode, private=True), os.path.abspath(path))

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back; more than once does no harm."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def enter(
        self, name: str, *, make: bool = False, mode: int = 0o755, owner: Optional[Tuple[int, int]] = None
    ) -> Directory:
        """The directory of this name in here, never through a link.

        One that `make` has to make gets this mode and, for root, this owner (uid, gid).
        """
        path = os.path.join(self.path, name)
        made = False
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.fd)
                made = True
        descriptor = _open_directory(self.fd, name, path)
        if made:
            _give(descriptor, mode, owner)
        return Directory(descriptor, path)

    def status(self, name: str) -> Optional[os.stat_result]:
        """Of the entry itself, even when it is a link; None when there is none."""
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def real_path(self) -> str:
        """Where this directory is now, without links."""
        return os.readlink(f"/proc/self/fd/{self.fd}")

    def link_target(self, name: str) -> Optional[str]:
        """Where a link of this name leads; None when it is no link. Raises PathProblem where others could make it."""
        return _trusted_link(self.fd, name, os.path.join(self.path, name))

    def names(self) -> List[str]:
        """The names of what is in here, sorted."""
        return sorted(os.listdir(self.fd))

    def open_file(self, name: str, flags: int = os.O_RDONLY) -> int:
        """The descriptor of a regular file in here: not of a link, and without waiting for the other end of a FIFO."""
        path = os.path.join(self.path, name)
        try:
            descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600, dir_fd=self.fd)
        except OSError as error:
            if error.errno in _KINDS:
                raise _not_regular(path, _KINDS[error.errno]) from None
            error.filename = path
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _not_regular(path, "no regular file")
        os.set_blocking(descriptor, True)
        return descriptor

    def is_own(self, status: os.stat_result) -> bool:
        """Whether root, or the user who runs this, owns what is in here with this status.

        A network file system may show root's files as another user's; a file that we make there tells.
        """
        if _is_ours(status.st_uid):
            return True
        if os.fstat(self.fd).st_dev != status.st_dev or os.major(status.st_dev) != 0:
            return False
        name = ".gguf-fleet-" + secrets.token_hex(8)
        try:
            probe = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self.fd)
        except OSError:
            return False
        try:
            return os.fstat(probe).st_uid == status.st_uid
        finally:
            os.close(probe)
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self.fd)

    def only_root_changes_it(self) -> bool:
        """Whether nobody but root, or the user who runs this, can put something in here or take it away."""
        return _is_private(os.fstat(self.fd))


@contextlib.contextmanager
def parent_of(path: str, *, make: bool = False, mode: int = 0o755) -> Iterator[Tuple[Directory, str]]:
    """The directory that holds `path`, and the name of `path` in there."""
    folder, name = os.path.split(os.path.abspath(path))
    if not name:
        raise PathProblem(f"{path} names no file.", "Name a file in a directory.")
    with Directory.open(folder, make=make, mode=mode) as directory:
        yield directory, name


def _walk(path: str, make: bool, mode: int, private: bool = False) -> int:
    current = os.open("/", _DIRECTORY)
    pending = [part for part in path.split("/") if part]
    links = 0
    try:
        while pending:
            part = pending.pop(0)
            if part == ".":
                continue
            target = None if part == ".." else _trusted_link(current, part, path)
            if target is not None:
                links += 1
                if links > _MAX_LINKS:
                    raise PathProblem(f"{path} leads through too many links.", "Name the directory itself.")
                pending[:0] = [step for step in target.split("/") if step]
                below = os.open("/", _DIRECTORY) if target.startswith("/") else os.dup(current)
            else:
                below = _step(current, part, path, make, mode)
            os.close(current)
            current = below
            if private:
                _refuse_shared(current, path, last=not pending)
    except BaseException:
        os.close(current)
        raise
    return current


def _refuse_shared(descriptor: int, path: str, *, last: bool) -> None:
    status = os.fstat(descriptor)
    if not (_is_private(status) if last else _keeps_links(status)):
        place = os.readlink(f"/proc/self/fd/{descriptor}")
        raise PathProblem(
            f"{path}: other users can change {place} (owner {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}).",
            f"Check who made it. If nothing else needs it so: chown root {place} && chmod go-w {place}",
            errno.EPERM,
        )


def _step(parent: int, name: str, path: str, make: bool, mode: int) -> int:
    try:
        return _open_directory(parent, name, path)
    except FileNotFoundError:
        if not make:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
        descriptor = _open_directory(parent, name, path)
        _give(descriptor, mode, None)
        return descriptor
    return _open_directory(parent, name, path)


def _open_directory(parent: int, name: str, path: str) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise PathProblem(
                f"{path}: '{name}' is a link or a file, not a directory.",
                "Name the real directory, or use a bind mount.",
                error.errno,
            ) from None
        error.filename = path
        raise


def _trusted_link(parent: int, name: str, path: str) -> Optional[str]:
    """Where the link of this name leads; None when it is no link."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(status.st_mode):
        return None
    if not (_is_ours(status.st_uid) and _keeps_links(os.fstat(parent))):
        raise PathProblem(
            f"{path}: '{name}' is a link that another user can change.",
            "Name the real directory, or let root own the link and the directory that holds it.",
            errno.ELOOP,
        )
    return os.readlink(name, dir_fd=parent)


def _is_ours(uid: int) -> bool:
    return uid in (0, os.geteuid())


def _is_private(status: os.stat_result) -> bool:
    return _is_ours(status.st_uid) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _keeps_links(status: os.stat_result) -> bool:
    """Whether a link of ours in this directory stays ours: in a sticky one, others cannot replace it."""
    return _is_private(status) or (_is_ours(status.st_uid) and bool(status.st_mode & stat.S_ISVTX))


def _give(descriptor: int, mode: int, owner: Optional[Tuple[int, int]]) -> None:
    if owner is not None and os.geteuid() == 0:
        os.fchown(descriptor, *owner)
    os.fchmod(descriptor, mode)


def _not_regular(path: str, what: str) -> PathProblem:
    return PathProblem(f"{path} is {what}, where a file is expected.", "Remove it, then run again.", errno.EINVAL)
