# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The archive of a source becomes a directory of the user who builds, and the project in it is found."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import List, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._build.problem import BuildProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import open_regular, read_descriptor
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_entry
from ansible_collections.gguf.fleet.plugins.module_utils._install import archive, fetch
from ansible_collections.gguf.fleet.plugins.module_utils._process.own_user import User

_SOURCE_BYTES = 4 << 30
_PROJECT = "CMakeLists.txt"
_MARK = ".unpacked"


def unpacked(work: Directory, user: User, source: str, sha256: str, definitions: Sequence[str]) -> str:
    """The project's directory below `work`; unpacked anew unless it is of this source and for these definitions.

    source: an archive of this host, with its sha256. Raises a Problem or OSError.
    """
    mark = hashlib.sha256("\n".join([sha256, *definitions]).encode()).hexdigest().encode()
    if _mark(work) != mark:
        for name in (_MARK, "build", "source"):
            remove_entry(work, name)
        with os.fdopen(open_regular(source), "rb") as file:
            fetch.check_digest(fetch.sha256_of(file), sha256, source)
            # Root's alone until it is whole.
            with work.enter("source", make=True, mode=0o700) as tree:
                archive.unpack(file, os.path.basename(source), tree, _SOURCE_BYTES)
                _give(tree, user)
                os.fchown(tree.fd, user.uid, user.gid)
                os.fchmod(tree.fd, 0o755)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(_MARK, flags, 0o644, dir_fd=work.fd), "wb") as file:
            file.write(mark)
    with work.enter("source") as tree:
        return os.path.join("source", *_project(tree))


def _mark(work: Directory) -> bytes:
    try:
        descriptor = work.open_file(_MARK)
    except FileNotFoundError:
        return b""
    return read_descriptor(descriptor, _MARK, limit_bytes=1 << 10)


def _give(top: Directory, user: User) -> None:
    for name in top.names():
        os.chown(name, user.uid, user.gid, dir_fd=top.fd, follow_symlinks=False)
        status = top.status(name)
        if status is not None and stat.S_ISDIR(status.st_mode):
            with top.enter(name) as below:
                _give(below, user)


def _project(source: Directory) -> List[str]:
    """The way to the one directory that holds a project, at most two levels down. Raises BuildProblem."""
    level: List[List[str]] = [[]]
    for _depth in range(3):
        found, below = [], []
        for steps in level:
            has, deeper = _looked(source, steps)
            if has:
                found.append(steps)
            below += deeper
        if len(found) == 1:
            return found[0]
        if found:
            break
        level = below
    raise BuildProblem(
        f"the source has no {_PROJECT}, or several.", "Give an archive of llama.cpp's source. Nothing was changed."
    )


def _looked(source: Directory, steps: Sequence[str]) -> Tuple[bool, List[List[str]]]:
    """Whether a directory below the source holds a project, and the ways to its directories."""
    here, opened = source, []
    try:
        for step in steps:
            here = here.enter(step)
            opened.append(here)
        status = here.status(_PROJECT)
        below = []
        for name in here.names():
            entry = here.status(name)
            if entry is not None and stat.S_ISDIR(entry.st_mode):
                below.append([*steps, name])
        return status is not None and stat.S_ISREG(status.st_mode), below
    except PathProblem as error:
        raise BuildProblem(error.problem, error.remedy) from error
    finally:
        for directory in opened:
            directory.close()
