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
            with open(self.path, "rb") as file:
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
        if not stat.S_ISDIR(os.lstat(dest).st_mode):
            raise GgufError(f"{dest} is there and is no directory.", "Name another folder for the rehearsal.")
    except FileNotFoundError:
        return []
    with os.scandir(dest) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if not entry.name.startswith(f"{MARK}-") or not entry.is_file(follow_symlinks=False):
            raise GgufError(f"{entry.path} is not a rehearsal's.", f"Move it out of {dest}, then run again.")
    return [entry.path for entry in found]


def write(dest: str, files: Sequence[SparseFile], ledger: Ledger) -> None:
    """Make the folder hold exactly these files."""
    os.makedirs(dest, exist_ok=True)
    os.chmod(dest, 0o755)
    wanted = {file.path for file in files}
    for path in check_folder(dest):
        if path not in wanted:
            os.unlink(path)
            ledger.forget(path)
    for file in files:
        if not file.is_there():
            _write_one(file)
        ledger.record(file.path, sha256=file.sha256, kind=KIND)


def remove(dest: str, paths: Sequence[str], ledger: Ledger) -> None:
    for path in paths:
        os.unlink(path)
        ledger.forget(path)
    os.rmdir(dest)


def _write_one(file: SparseFile) -> None:
    unfinished = f"{file.path}.new"
    with open(unfinished, "wb") as stream:
        stream.write(file.header)
        stream.truncate(file.size_bytes)
        # The engine reads it as a user of its own.
        os.fchmod(stream.fileno(), 0o644)
    os.replace(unfinished, file.path)
