# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files that an engine loads like the model and that hold none of it: the real headers, and holes where tensors are."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.own import make_own
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import open_regular
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError, Header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger

# The folder and every file in it are named so, and nothing that is named otherwise is ever written or removed.
MARK = "rehearsal"
# A ledger entry of this kind proves nothing to those who look for verified files.
KIND = "rehearsal"


@dataclass(frozen=True)
class SparseFile:
    """A file to be written: its first bytes, and the length that the model's own file has."""

    path: str
    header: bytes
    size_bytes: int

    @property
    def sha256(self) -> str:
        """Stands for the file where a digest is wanted; no real file has it. Hashing holes takes as long as data."""
        return hashlib.sha256(b"gguf.fleet rehearsal\0" + self.header).hexdigest()

    def is_there(self) -> bool:
        try:
            with os.fdopen(open_regular(self.path), "rb") as file:
                same_size = os.fstat(file.fileno()).st_size == self.size_bytes
                return same_size and file.read(len(self.header)) == self.header
        except FileNotFoundError:
            return False


def as_shards(dest: str, names: Sequence[str], headers: Sequence[Header], sizes: Sequence[int]) -> list[SparseFile]:
    """A file for each shard. Engines find the others by the first one's name, so that the names keep their ends."""
    return [
        SparseFile(os.path.join(dest, f"{MARK}-{name}"), header.raw, size_bytes)
        for name, header, size_bytes in zip(names, headers, sizes)
    ]


def as_merged(dest: str, name: str, headers: Sequence[Header], size_bytes: int) -> list[SparseFile]:
    """One file: what the merge of the shards would begin with, and would be as long as."""
    header = headers[0].raw
    if len(headers) > 1:
        layout = merge_layout(headers)
        header = layout.header
        if layout.size_bytes != size_bytes:
            raise GgufError(
                f"the shards merge into {layout.size_bytes:,}, but the lock says {size_bytes:,} bytes.",
                "Resolve again with update: true (in roles: models_lock_update: true).",
            )
    return [SparseFile(os.path.join(dest, f"{MARK}-{name}"), header, size_bytes)]


def check_folder(dest: str) -> list[str]:
    """The paths of what a rehearsal left in its folder. Refuses a folder that is not a rehearsal's alone."""
    if not os.path.isabs(dest) or not os.path.basename(dest).startswith(MARK):
        raise GgufError(
            f"{dest} could be mistaken for a model's folder.", f"Give a whole path whose last part starts with {MARK}."
        )
    try:
        with parent_of(dest) as (parent, name):
            status = parent.status(name)
            if status is None:
                return []
            if not stat.S_ISDIR(status.st_mode):
                raise GgufError(f"{dest} is there and is no directory.", "Name another folder for the rehearsal.")
            with parent.enter(name) as folder:
                return [os.path.join(dest, name) for name in _names(folder)]
    except FileNotFoundError:
        return []


def write(dest: str, files: Sequence[SparseFile], ledger: Ledger) -> None:
    """Make the folder hold exactly these files."""
    # pylint: disable-next=used-before-assignment
    with parent_of(dest, make=True) as (parent, last), parent.enter(last, make=True) as folder:
        if not folder.only_root_changes_it():
            raise GgufError(f"others than root can change {dest}.", "Name another folder for the rehearsal.")
        os.fchmod(folder.fd, 0o755)
        wanted = {os.path.basename(file.path) for file in files}
        for name in _names(folder):
            if name not in wanted:
                os.unlink(name, dir_fd=folder.fd)
                ledger.forget(os.path.join(dest, name))
        for file in files:
            if not file.is_there():
                _write_one(folder, file)
            ledger.record(file.path, sha256=file.sha256, kind=KIND)


def remove(dest: str, paths: Sequence[str], ledger: Ledger) -> None:
    with parent_of(dest) as (parent, name):
        with parent.enter(name) as folder:
            for path in paths:
                os.unlink(os.path.basename(path), dir_fd=folder.fd)
                ledger.forget(path)
        os.rmdir(name, dir_fd=parent.fd)


def _names(folder: Directory) -> list[str]:
    """What a rehearsal left in there; refuses a folder that holds anything else."""
    names = folder.names()
    for name in names:
        status = folder.status(name)
        if not name.startswith(f"{MARK}-") or status is None or not stat.S_ISREG(status.st_mode):
            raise GgufError(
                f"{os.path.join(folder.path, name)} is not a rehearsal's.",
                f"Move it out of {folder.path}, then run again.",
            )
    return names


def _write_one(folder: Directory, file: SparseFile) -> None:
    name = os.path.basename(file.path)
    descriptor = make_own(folder, f"{name}.new")
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(file.header)
        stream.truncate(file.size_bytes)
        # The engine reads it as a user of its own.
        os.fchmod(descriptor, 0o644)
    os.rename(f"{name}.new", name, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
