# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The user that a service runs as: made where it is missing, and removed only where the ledger says that we made it.

An adopted installation runs as somebody's user, with somebody's home. Neither is ours, whatever its name.
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_entry
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Entry, Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._process.bounded import ProcessProblem, run_bounded

KIND = "account"
GROUP, USER, HOME = "group", "user", "home"
_COMMAND_SECONDS = 120.0
_SHELL = "/usr/sbin/nologin"


class AccountProblem(Problem):
    """A user cannot be made or removed."""


@dataclass(frozen=True)
class Wanted:
    """A system user with a group of the same name."""

    name: str
    home: str
    comment: str
    groups: Tuple[str, ...]


def plan_present(wanted: Wanted) -> List[str]:
    """What is missing, in words."""
    user = find_user(wanted.name)
    if user is None:
        group = [] if _find_group(wanted.name) else [f"make the group {wanted.name}"]
        home = [] if os.path.isdir(wanted.home) else [f"make the directory {wanted.home}"]
        return [*group, f"make the user {wanted.name}", *home]
    missing = _missing_groups(user, wanted.groups)
    return [f"add {wanted.name} to {', '.join(missing)}"] if missing else []


def make_present(wanted: Wanted) -> None:
    """Do what plan_present says. When a part fails, the parts before it are taken back."""
    user = find_user(wanted.name)
    if user is not None:
        _join(user, _missing_groups(user, wanted.groups))
        return
    Ledger().prepare()
    made: List[str] = []
    try:
        if _find_group(wanted.name) is None:
            _run(["groupadd", "--system", wanted.name])
            made.append(GROUP)
        more = ["--groups", ",".join(wanted.groups)] if wanted.groups else []
        names = ["--gid", wanted.name, "--home-dir", wanted.home, "--no-create-home", "--shell", _SHELL, *more]
        _run(["useradd", "--system", *names, "--comment", wanted.comment, wanted.name])
        made.append(USER)
        user = pwd.getpwnam(wanted.name)
        if _make_home(wanted.home, (user.pw_uid, user.pw_gid)):
            made.append(HOME)
        _record(wanted.home, user, made)
    except BaseException:
        _take_back(wanted, made)
        raise


def _join(user: pwd.struct_passwd, groups: Sequence[str]) -> None:
    """Into these groups, and out of them again when the user is not ours and we go."""
    if not groups:
        return
    entry = _entry_of(user.pw_name)
    if entry is None or USER not in entry.notes["made"]:
        before = entry.notes["joined"] if entry is not None else []
        _record(user.pw_dir, user, [], [*before, *groups])
    _run(["usermod", "--append", "--groups", ",".join(groups), user.pw_name])


def _record(home: str, user: pwd.struct_passwd, made: Sequence[str], joined: Sequence[str] = ()) -> None:
    notes = {"uid": user.pw_uid, "gid": user.pw_gid, "made": list(made), "joined": list(joined)}
    status = os.stat(home if os.path.isdir(home) else "/")
    Ledger().record(home, sha256=None, kind=KIND, status=status, user=user.pw_name, **notes)


def _entry_of(name: str) -> Optional[Entry]:
    found = (entry for entry in Ledger().entries(kind=KIND, user=name) if _is_whole(entry.notes))
    return next(found, None)


def _is_whole(notes: Mapping[str, Any]) -> bool:
    """An entry that somebody edited, or that another version wrote, says nothing."""
    numbers, lists = (notes.get("uid"), notes.get("gid")), (notes.get("made"), notes.get("joined"))
    return all(isinstance(number, int) for number in numbers) and all(isinstance(part, list) for part in lists)


def _take_back(wanted: Wanted, made: Sequence[str]) -> None:
    # It is new: nothing of anybody lies in the home yet.
    if HOME in made:
        with parent_of(wanted.home) as (parent, name):
            os.rmdir(name, dir_fd=parent.fd)
    if USER in made:
        _run(["userdel", wanted.name])
    if GROUP in made and _find_group(wanted.name) is not None:
        _run(["groupdel", wanted.name])


def _make_home(path: str, owner: Tuple[int, int]) -> bool:
    with parent_of(path, make=True) as (parent, name):
        if parent.status(name) is not None:
            return False
        parent.enter(name, make=True, mode=0o755, owner=owner).close()
        return True


@dataclass(frozen=True)
class Removal:
    """What goes, and why other things stay."""

    entry: Optional[Entry]
    actions: Tuple[str, ...]
    stays: Tuple[str, ...]


def plan_absent(name: str) -> Removal:
    """Only what the ledger says, while it is still that: a user of this uid, the very directory that we made."""
    entry, user = _entry_of(name), find_user(name)
    if entry is None:
        return Removal(None, (), (f"the user {name} was not made by this collection",) if user is not None else ())
    made = entry.notes["made"]
    actions, stays = [], []
    if user is not None and (USER not in made or user.pw_uid != entry.notes["uid"]):
        left = [group for group in entry.notes["joined"] if group in _groups_of(user)]
        return Removal(
            entry,
            tuple(f"remove {name} from the group {group}" for group in left if user.pw_uid == entry.notes["uid"]),
            (f"the user {name} was not made by this collection",),
        )
    if user is not None:
        actions.append(f"remove the user {name}")
    group = _find_group(name)
    if group is not None and GROUP in made and group.gr_gid == entry.notes["gid"]:
        actions.append(f"remove the group {name}")
    elif group is not None:
        stays.append(f"the group {name} was not made by this collection")
    if HOME in made and entry.is_current():
        actions.append(f"remove the directory {entry.path}")
    elif os.path.lexists(entry.path):
        stays.append(f"the directory {entry.path} was not made by this collection")
    return Removal(entry, tuple(actions), tuple(stays))


def make_absent(name: str, removal: Removal) -> None:
    """Do what plan_absent says."""
    if removal.entry is None:
        return
    entry = removal.entry
    for group in entry.notes["joined"]:
        if f"remove {name} from the group {group}" in removal.actions:
            _run(["gpasswd", "--delete", name, group])
    if f"remove the user {name}" in removal.actions:
        if f"remove the group {name}" not in removal.actions and _find_group(name) is not None:
            # userdel takes the user's own group with it, and this one is not ours.
            _run(["usermod", "--gid", _any_other_group(name), name])
        _run(["userdel", name])
    if f"remove the group {name}" in removal.actions and _find_group(name) is not None:
        _run(["groupdel", name])
    if f"remove the directory {entry.path}" in removal.actions:
        _remove_home(entry)
    Ledger().forget(entry.path)


def _remove_home(entry: Entry) -> None:
    with parent_of(entry.path) as (parent, name):
        with parent.enter(name) as home:
            status = os.fstat(home.fd)
        if (status.st_dev, status.st_ino) == (entry.device, entry.inode):
            _remove(parent, name)


def _remove(parent: Directory, name: str) -> None:
    try:
        remove_entry(parent, name)
    except OSError as error:
        raise AccountProblem(
            f"{os.path.join(parent.path, name)} cannot be removed: {error.strerror or error}.",
            "Check what keeps it (mounts, processes), then run again.",
        ) from error


def _any_other_group(name: str) -> str:
    return next((group for group in ("nogroup", "nobody") if group != name and _find_group(group)), "root")


def find_user(name: str) -> Optional[pwd.struct_passwd]:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _find_group(name: str) -> Optional[grp.struct_group]:
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def _missing_groups(user: pwd.struct_passwd, wanted: Sequence[str]) -> List[str]:
    return [name for name in wanted if name not in _groups_of(user)]


def _groups_of(user: pwd.struct_passwd) -> List[str]:
    return [group.gr_name for group in grp.getgrall() if user.pw_name in group.gr_mem or group.gr_gid == user.pw_gid]


def _run(argv: Sequence[str]) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    try:
        ended = run_bounded(argv, seconds=_COMMAND_SECONDS, environment=environment)
    except ProcessProblem as error:
        raise AccountProblem(error.problem, "Install the package shadow, and look at the system's log.") from error
    if ended.code != 0:
        said = " ".join((ended.stdout + ended.stderr).decode("utf-8", "replace").split())[:300]
        raise AccountProblem(
            f"{' '.join(argv)} failed (exit {ended.code}): {said or 'it says nothing'}.",
            "Look at /etc/passwd, /etc/group and the disk, then run again; what was made before is taken back.",
        )
