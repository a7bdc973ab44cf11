# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The directory of the verified model files: made for root, and emptied of what we put there and of nothing else."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from dataclasses import dataclass
from typing import List, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger

MODE = 0o755
# What a download or a merge that did not come to its end has left beside the file's name.
UNFINISHED = re.compile(r".+\.gguf\.partial(\.[a-z]+)?\Z|\..+\.gguf\.merg(ing|e-[a-z]+)\Z")


@dataclass(frozen=True)
class Outcome:
    """What was done, or would be, and what stays in the directory."""

    actions: Tuple[str, ...]
    stays: Tuple[str, ...] = ()


def present(path: str, *, check: bool = False) -> Outcome:
    """The directory is there, and only root writes to it. No link that others could have made is followed."""
    try:
        directory = Directory.open(path)
    except FileNotFoundError:
        if not check:
            with Directory.open(path, make=True, mode=MODE) as made:
                _hand_to_root(made)
        return Outcome((f"make {path}",))
    with directory:
        status = os.fstat(directory.fd)
        right = (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid()) and stat.S_IMODE(status.st_mode) == MODE
        if not right and not check:
            _hand_to_root(directory)
    return Outcome(() if right else (f"give {path} to root, mode {MODE:04o}",))


def absent(path: str, *, check: bool = False) -> Outcome:
    """The ledger's files below the directory go, and what was left unfinished; then the directories that are empty."""
    known = {entry.path: entry for entry in Ledger().entries(kind="file")}
    actions: List[str] = []
    stays: List[str] = []

    def clear(directory: Directory) -> bool:
        """Whether nothing is left in there."""
        empty = True
        for name in directory.names():
            place = os.path.join(directory.path, name)
            status = directory.status(name)
            if status is None:
                continue
            if stat.S_ISDIR(status.st_mode):
                with directory.enter(name) as below:
                    gone = clear(below)
                if gone and not check:
                    os.rmdir(name, dir_fd=directory.fd)
            else:
                entry = known.get(place)
                ours = entry is not None and entry.is_current(status)
                unfinished = status.st_uid == os.geteuid() and UNFINISHED.match(name) is not None
                gone = stat.S_ISREG(status.st_mode) and (ours or unfinished)
                if gone:
                    actions.append(f"remove {place}")
                    if not check:
                        os.unlink(name, dir_fd=directory.fd)
                        Ledger().forget(place)
                else:
                    stays.append(place)
            empty = empty and gone
        return empty

    with contextlib.suppress(FileNotFoundError):
        # pylint: disable-next=used-before-assignment
        with parent_of(path) as (parent, name), parent.enter(name) as directory:
            gone = clear(directory)
            if gone:
                actions.append(f"remove {path}")
        if gone and not check:
            with parent_of(path) as (parent, name):
                os.rmdir(name, dir_fd=parent.fd)
    return Outcome(tuple(actions), tuple(stays))


def _hand_to_root(directory: Directory) -> None:
    if os.geteuid() == 0:
        os.fchown(directory.fd, 0, 0)
    os.fchmod(directory.fd, MODE)
