# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The directories of a store, made for the service user.

The store may lie in that user's home, where everything but what is open can be swapped: see store.py.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import StoreProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.service_directories import hand_over, make_directory

MAKE = "make"
HAND_OVER = "hand_over"
# A directory of this kind was made by us, so that all that is a store's in it may go.
KIND = "store"
PARTS = ("blobs", "manifests")
_MAX_LINKS = 40
# A check comes before the user is made.
_NOT_YET = (-1, -1)


@dataclass(frozen=True)
class Outcome:
    """What was done, or would be."""

    actions: Tuple[Dict[str, Any], ...]
    kept: Tuple[str, ...] = ()
    freed_bytes: int = 0
    warnings: Tuple[str, ...] = ()


def owner_of(user: str, group: Optional[str], *, check: bool) -> Tuple[int, int]:
    """The ids that these names or numbers mean. Raises StoreProblem."""
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
        if group is None:
            return entry.pw_uid, entry.pw_gid
        return entry.pw_uid, grp.getgrgid(int(group)).gr_gid if group.isdecimal() else grp.getgrnam(group).gr_gid
    except (KeyError, OverflowError):
        if check:
            return _NOT_YET
        raise StoreProblem(f"There is no user {user} with the group {group or user}.", "Make them first.") from None


def present(path: str, owner: Tuple[int, int], ledger: Ledger, *, check: bool = False) -> Outcome:
    """The models directory and its two parts are there, and this user (uid, gid) may write them.

    In one that was there before, a part that is missing is the server's affair: it removes empty ones and makes them.
    """
    path = os.path.abspath(path)
    actions: List[Dict[str, Any]] = []
    try:
        found = _opened(path, owner, actions, check)
        if found is None:
            actions += [action_of(MAKE, os.path.join(path, name)) for name in PARTS]
            return Outcome(tuple(actions))
        root, placed_by_root = found
        with root:
            made = action_of(MAKE, path) in actions
            if not check and made:
                ledger.record(path, sha256=None, kind=KIND, status=os.fstat(root.fd))
            # Its parts first: what lies in it was put there by root as long as it is root's.
            parts_by_root = root.only_root_changes_it()
            for name in PARTS:
                if not made and root.status(name) is None:
                    continue
                below = _part(root, name, owner, actions, check)
                if below is not None:
                    with below:
                        _hand_over(below, owner, actions, check, placed_by_root=parts_by_root)
            _hand_over(root, owner, actions, check, placed_by_root=placed_by_root)
    except PathProblem as problem:
        raise StoreProblem(problem.problem, problem.remedy) from problem
    except OSError as error:
        raise StoreProblem(
            f"The directories of the store in {path} cannot be made: {error.strerror or error}.",
            "Run as root (become: true), and look at that file system.",
        ) from error
    return Outcome(tuple(actions))


def _opened(
    path: str, owner: Tuple[int, int], actions: List[Dict[str, Any]], check: bool, links: int = 0
) -> Optional[Tuple[Directory, bool]]:
    """The models directory, and whether only root can change where it lies. None when a check finds it missing.

    Missing ones on the way are its user's, too.
    """
    parent = os.path.dirname(path)
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    current, placed_by_root = Directory.open(parent), False
    for part in os.path.relpath(path, parent).split(os.sep):
        with current:
            target = current.link_target(part)
            if target is not None and links < _MAX_LINKS:
                # Only root could have made it.
                return _opened(os.path.join(current.real_path(), target), owner, actions, check, links + 1)
            placed_by_root = current.only_root_changes_it()
            below = _part(current, part, owner, actions, check)
        if below is None:
            return None
        current = below
    return current, placed_by_root


def _part(
    parent: Directory, name: str, owner: Tuple[int, int], actions: List[Dict[str, Any]], check: bool
) -> Optional[Directory]:
    """The directory of this name, made for its user where it is missing; None when a check finds it missing."""
    if parent.status(name) is None:
        actions.append(action_of(MAKE, os.path.join(parent.path, name)))
        if check:
            return None
        make_directory(parent, name, owner, parent)
    return parent.enter(name)


def _hand_over(
    directory: Directory, owner: Tuple[int, int], actions: List[Dict[str, Any]], check: bool, *, placed_by_root: bool
) -> None:
    status = os.fstat(directory.fd)
    wrong = os.geteuid() == 0 and (status.st_uid, status.st_gid) != owner
    if wrong or status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        actions.append(action_of(HAND_OVER, directory.path))
        if not check:
            hand_over(directory, owner, placed_by_root=placed_by_root)


def action_of(kind: str, path: str) -> Dict[str, Any]:
    """One thing that is done, as it is told."""
    return {"action": kind, "path": path}
