# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The GGUF file that becomes a model: its digest, which the server never checks, and its facts.

It is opened once. What was hashed is what is protected, linked, copied or sent, whatever its path leads to by then.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import Iterator

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import Input, open_input
from ansible_collections.gguf.fleet.plugins.module_utils._files.leases import UNWRITTEN, refused_lease
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError, read_header
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.config import Source, SourceProblem, source_of

_READ_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Weights:
    """A GGUF file whose digest is known, while it is open."""

    path: str
    sha256: str
    size_bytes: int
    source: Source
    file: int = -1
    shared: bool = False  # others than root can put something else at the path
    protected: bool = False  # others could write it until this run


@contextlib.contextmanager
def weights_of(path: str, ledger: Ledger, *, note: bool, protect: bool = False) -> Iterator[Weights]:
    """The file's digest is the ledger's when it is the file recorded there; else it is read once, and noted.

    protect: it becomes root's and read-only before it is read, so that its digest stays true.
    """
    try:
        opened = open_input(path)
    except PathProblem as problem:
        raise SourceProblem(problem.problem, problem.remedy) from problem
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        yield _weights(path, opened, ledger, note, protect)
    finally:
        os.close(opened.fd)


def others_may_write(status: os.stat_result) -> bool:
    """Of a hard link there is only one owner and one mode: those of the file itself."""
    strange = os.geteuid() == 0 and status.st_uid != 0
    return strange or bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _weights(path: str, opened: Input, ledger: Ledger, note: bool, protect: bool) -> Weights:
    try:
        with os.fdopen(opened.fd, "rb", buffering=0, closefd=False) as file:
            source = source_of(read_header(file), path)
        open_to_others = others_may_write(os.fstat(opened.fd))
        if open_to_others and protect:
            _protect(opened)
        status = os.fstat(opened.fd)
        # A rehearsal's digest only stands for it: nobody should read its holes, and the server does not either.
        entry = ledger.lookup(opened.path, kind="file", status=status)
        entry = entry or ledger.lookup(opened.path, kind="rehearsal", status=status)
        # What others could write until now may be other bytes of the same size.
        sha256 = entry.sha256 if entry is not None and not (open_to_others and protect) else None
        if sha256 is None:
            sha256 = _digest(opened.fd, path)
            if note:
                ledger.record(opened.path, sha256=sha256, kind="file", status=os.fstat(opened.fd))
    except GgufError as error:
        raise GgufError(f"{path}: {error.problem}", error.remedy) from None
    except OSError as error:
        raise _unreadable(path, error) from error
    return Weights(
        opened.path, sha256, status.st_size, source, opened.fd, opened.shared, protected=open_to_others and protect
    )


def _protect(opened: Input) -> None:
    """Nobody but root changes the file from now on."""
    if not opened.takeable:
        raise SourceProblem(
            f"{opened.path} is another hard link to a file of another user, in a directory that others can change.",
            "Name the file by its own path, or copy it to a directory of root's.",
        )
    try:
        if os.geteuid() == 0:
            os.fchown(opened.fd, 0, 0)
        os.fchmod(opened.fd, 0o444)
    except OSError as error:
        raise SourceProblem(
            f"{opened.path} cannot be made read-only: {error.strerror}.",
            "Keep model files on a file system where root may own them.",
        ) from error
    refused = refused_lease(opened.fd, UNWRITTEN)
    if refused == errno.EAGAIN:
        raise SourceProblem(
            f"A process has {opened.path} open for writing, so what is in it may change at any time.",
            "End that process, then run again.",
        )
    if refused is not None and opened.shared:
        raise SourceProblem(
            f"The kernel does not say whether a process writes to {opened.path} ({os.strerror(refused)}), and others "
            "than root can change its directory.",
            "Copy it to a directory of root's, and name that copy.",
        )


def _digest(file: int, path: str) -> str:
    total = hashlib.sha256()
    before = os.fstat(file)
    os.lseek(file, 0, os.SEEK_SET)
    while chunk := os.read(file, _READ_BYTES):
        total.update(chunk)
    after = os.fstat(file)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise SourceProblem(f"{path} changed while it was read.", "Wait until it is complete, then run again.")
    return total.hexdigest()


def _unreadable(path: str, error: OSError) -> SourceProblem:
    return SourceProblem(
        f"{path} cannot be read: {error.strerror}.", "Name a GGUF file that is on this host, as an absolute path."
    )
