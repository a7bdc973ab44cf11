# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Files that this host has under other names: known to the ledger by their digest, linked without reading a byte."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import PathProblem, parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import open_input
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import workshop
from ansible_collections.gguf.fleet.plugins.module_utils._host.disk import existing_directory
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import KINDS_WITH_BYTES, Entry, Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.request import Request


@dataclass(frozen=True)
class Known:
    """An output of a request, and the entry of the same bytes under another name."""

    path: str
    sha256: str
    entry: Entry


def known_files(request: Request, ledger: Ledger) -> Optional[Tuple[Known, ...]]:
    """What stands for all that is wanted on the same file system, or None where the host lacks some of it."""
    entries = [entry for kind in KINDS_WITH_BYTES for entry in ledger.entries(kind)]
    found: List[Known] = []
    for index, path in enumerate(request.paths):
        if os.path.lexists(path):
            # What is there already is proved by its bytes, not replaced.
            return None
        known = _known(request, index, path, entries)
        if known is None:
            return None
        found.append(known)
    return tuple(found)


def known_folders(ledger: Ledger) -> List[str]:
    """Where the ledger's files lie: copies of the right size there are worth a look."""
    return list(dict.fromkeys(os.path.dirname(entry.path) for entry in ledger.entries("file") if entry.is_current()))


def known_stores(ledger: Ledger) -> List[str]:
    """The stores of Ollama that something of ours was put into."""
    stores = [entry.notes.get("models_dir") for kind in KINDS_WITH_BYTES for entry in ledger.entries(kind)]
    return list(dict.fromkeys(store for store in stores if isinstance(store, str) and os.path.isdir(store)))


def link_files(files: Tuple[Known, ...], ledger: Ledger, **notes: object) -> bool:
    """Give the files their wanted names too; false where they lie on another file system, and nothing was done."""
    with contextlib.ExitStack() as stack:
        opened: Dict[str, int] = {}
        for file in files:
            descriptor = _open(file.entry)
            if descriptor is None:
                return False
            stack.callback(os.close, descriptor)
            opened[file.path] = descriptor
        for file in files:
            if not _link(opened[file.path], file.path):
                return False
            ledger.record(file.path, sha256=file.sha256, kind="file", status=os.fstat(opened[file.path]), **notes)
    return True


def _known(request: Request, index: int, path: str, entries: List[Entry]) -> Optional[Known]:
    device = os.stat(existing_directory(os.path.dirname(os.path.abspath(path)))).st_dev
    for digest in _digests(request, index, path, entries):
        for entry in entries:
            wanted = (digest, request.sizes[index], device)
            if (entry.sha256, entry.size_bytes, entry.device) == wanted and entry.path != path:
                descriptor = _open(entry)
                if descriptor is not None:
                    os.close(descriptor)
                    return Known(path, digest, entry)
    return None


def _digests(request: Request, index: int, path: str, entries: List[Entry]) -> Iterator[str]:
    """The checksum that the lock knows, else those that an earlier download of the same files had."""
    expected = request.expected(index)
    if expected is not None:
        yield expected
        return
    for entry in entries:
        same = entry.notes.get("lock") == request.fingerprint and entry.kind == "file"
        if same and entry.sha256 and (len(request.paths) == 1 or entry.path == path):
            yield entry.sha256


def _open(entry: Entry) -> Optional[int]:
    """The very file that was recorded, if nobody but root could have changed it since."""
    try:
        found = open_input(entry.path)
    except (OSError, PathProblem):
        return None
    status = os.fstat(found.fd)
    trusted = status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if trusted and stat.S_ISREG(status.st_mode) and entry.is_current(status):
        return found.fd
    os.close(found.fd)
    return None


def _link(descriptor: int, path: str) -> bool:
    with parent_of(path, make=True) as (directory, name):
        with workshop(directory) as room:
            try:
                os.link(f"/proc/self/fd/{descriptor}", "file", dst_dir_fd=room.fd, follow_symlinks=True)
            except OSError as error:
                if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
                    return False
                raise
            os.rename("file", name, src_dir_fd=room.fd, dst_dir_fd=directory.fd)
            os.fsync(directory.fd)
        return True
