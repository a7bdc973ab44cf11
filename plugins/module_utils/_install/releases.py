# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The versions of an engine on one host: <root>/<version>/{bin,lib}, and the links that say which one serves.

<root>/current is the version that the service starts, <root>/previous the one before: the target of a rollback.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from dataclasses import dataclass
from typing import Collection, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._action import sentence
from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_entry
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}\Z")
CURRENT = "current"
PREVIOUS = "previous"


@dataclass(frozen=True)
class Release:
    """One version on the disk, and the checksums of the archives that it came from (empty: not known).

    ours: whether the ledger says that we made it; what others made is used, but never removed.
    """

    version: str
    digests: Tuple[str, ...]
    ours: bool = True


@dataclass(frozen=True)
class Installed:
    """What is there now."""

    releases: Tuple[Release, ...]
    current: Optional[str]
    previous: Optional[str]

    def get(self, version: str) -> Optional[Release]:
        return next((release for release in self.releases if release.version == version), None)


@dataclass(frozen=True)
class Action:
    """One step: what is done to which version, and why."""

    verb: str  # adopt, fetch, switch, link, remove
    version: str
    reason: str

    def __str__(self) -> str:
        return sentence(self.verb, self.version, reasons=(self.reason,))


def check_version(version: str) -> str:
    """A version becomes a directory's name."""
    if not VERSION.match(version) or version in (CURRENT, PREVIOUS):
        raise InstallProblem(f"{version!r} is not a version.", "Write it as the release does, for example 0.5.7.")
    return version


def directory(root: str, version: str) -> str:
    return os.path.join(root, version)


def _link_version(root: str, name: str) -> Optional[str]:
    try:
        target = os.readlink(os.path.join(root, name))
    except OSError:
        return None
    version = os.path.basename(target.rstrip("/"))
    return version if os.path.isdir(directory(root, version)) else None


def current(root: str) -> Optional[str]:
    """The version that the service starts."""
    return _link_version(root, CURRENT)


def read_installed(root: str, program: str, digests: Mapping[str, Tuple[str, ...]]) -> Installed:
    """The versions below root; digests are what the ledger knows, by version (none for what we did not make)."""
    names = sorted(os.listdir(root)) if os.path.isdir(root) else []
    releases = tuple(
        Release(name, digests.get(name, ()), name in digests)
        for name in names
        if VERSION.match(name)
        and not os.path.islink(directory(root, name))
        and os.path.isfile(os.path.join(root, name, "bin", program))
    )
    return Installed(releases, _link_version(root, CURRENT), _link_version(root, PREVIOUS))


@dataclass(frozen=True)
class Wanted:
    """The version that should be there.

    archives: whether it could be fetched; if not, one whose origin is unknown is taken as it is (a rollback).
    digests: of the archives when all are known before; empty means that any verified copy of the version will do.
    """

    version: str
    archives: bool
    digests: Tuple[str, ...]
    activate: bool
    keep: int


def plan_present(
    installed: Installed, wanted: Wanted, *, running: Collection[str], links_right: bool, newest_first: Sequence[str]
) -> List[Action]:
    """From what is there to what is wanted.

    running: versions that a process runs from; newest_first: versions by the time of their installation.
    """
    actions: List[Action] = []
    version = wanted.version
    there = installed.get(version)
    if there is None:
        actions.append(Action("fetch", version, "it is not on this host"))
    elif wanted.archives and not there.digests:
        actions.append(Action("fetch", version, "nothing says which archive the directory came from"))
    elif wanted.digests and there.digests != wanted.digests:
        actions.append(Action("fetch", version, "the archive's sha256 is another one than that of the installed copy"))
    if wanted.activate and installed.current != version:
        actions.append(Action("switch", version, f"{installed.current or 'no version'} is the current one"))
    elif wanted.activate and not links_right:
        actions.append(Action("link", version, "the commands in the PATH do not lead to it"))
    rollback = installed.current if installed.current != version else installed.previous
    needed = {version, rollback, installed.current, *running}
    if not wanted.activate:
        # The switch comes later and may be undone: then previous is the version to go back to again.
        needed.add(installed.previous)
    kept = len({release.version for release in installed.releases} & needed | {version})
    for old in newest_first:
        there = installed.get(old)
        if old in needed or there is None or not there.ours:
            continue
        if kept < wanted.keep:
            kept += 1
        else:
            actions.append(Action("remove", old, f"{wanted.keep} versions are kept"))
    return actions


def plan_absent(installed: Installed, version: Optional[str]) -> List[Action]:
    return [
        Action("remove", release.version, "it is not wanted")
        for release in installed.releases
        if release.ours and version in (None, release.version)
    ]


def newest_first(root: str, installed: Installed) -> List[str]:
    versions = [release.version for release in installed.releases]
    return sorted(versions, key=lambda version: os.stat(directory(root, version)).st_ctime, reverse=True)


def open_root(root: str, *, make: bool = False) -> Directory:
    """The directory of the versions, which nobody but root may change: what lies there is run as a service."""
    return Directory.open_private(root, make=make)


def wrong_links(root: str, links: Mapping[str, str]) -> List[str]:
    """The commands that do not lead to root/current."""
    wrong = []
    for path, below in links.items():
        try:
            right = os.readlink(path) == os.path.join(root, CURRENT, below)
        except OSError:
            right = False
        if not right:
            wrong.append(path)
    return wrong


def switch(root: str, version: str, links: Mapping[str, str]) -> Tuple[Optional[str], Optional[str]]:
    """Make version the current one; what current and previous were before, for restore."""
    before = (_link_version(root, CURRENT), _link_version(root, PREVIOUS))
    wanted = {}
    if before[0] not in (None, version):
        wanted[os.path.join(root, PREVIOUS)] = str(before[0])
    wanted[os.path.join(root, CURRENT)] = version
    for path in wrong_links(root, links):
        wanted[path] = os.path.join(root, CURRENT, links[path])
    with open_root(root):
        replace_links(wanted)
    return before


def restore(root: str, before: Tuple[Optional[str], Optional[str]]) -> None:
    """Undo a switch: both links as they were."""
    names = dict(zip((CURRENT, PREVIOUS), before))
    with open_root(root) as directory:
        replace_links({os.path.join(root, name): version for name, version in names.items() if version is not None})
        for name, version in names.items():
            if version is None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=directory.fd)


def replace_links(wanted: Mapping[str, str]) -> None:
    """Each path becomes a link to its target in one step: a reader always finds the old one (or a file) or the new one.

    Everything that needs room on a disk is made before the first of them is replaced.
    """
    with contextlib.ExitStack() as opened:
        ready: Dict[str, Tuple[Directory, str, str]] = {}
        for path, target in wanted.items():
            directory, name = opened.enter_context(parent_of(path, make=True))
            status = directory.status(name)
            if status is not None and stat.S_ISDIR(status.st_mode):
                raise InstallProblem(f"{path} is a directory, and a link must be there.", "Move it away and run again.")
            new = f".{name}.{secrets.token_hex(8)}.new"
            os.symlink(target, new, dir_fd=directory.fd)
            opened.callback(_unlink, directory, new)
            ready[path] = (directory, new, name)
        for directory, new, name in ready.values():
            os.rename(new, name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)


def _unlink(directory: Directory, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory.fd)


def unlink_ours(root: str, path: str, below: str) -> bool:
    """Remove a command that leads to root/current, and only such a one: another installation may own it by now."""
    with contextlib.suppress(OSError), parent_of(path) as (directory, name):
        if os.readlink(name, dir_fd=directory.fd) == os.path.join(root, CURRENT, below):
            os.unlink(name, dir_fd=directory.fd)
            return True
    return False


def remove(root: str, version: str) -> None:
    """Out of the way in one step first: a half removed directory must never look like a release."""
    with open_root(root) as directory:
        gone = f".{version}.{secrets.token_hex(8)}.gone"
        os.rename(check_version(version), gone, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
        remove_entry(directory, gone)


def drop_dead(root: str) -> None:
    """The links and the directory of an engine that has no such version any more."""
    with contextlib.suppress(FileNotFoundError), parent_of(root) as (parent, last):
        with open_root(root) as directory:
            for name in (CURRENT, PREVIOUS):
                if os.path.islink(os.path.join(root, name)) and _link_version(root, name) is None:
                    _unlink(directory, name)
        with contextlib.suppress(OSError):  # other versions, or the user's own files
            os.rmdir(last, dir_fd=parent.fd)


def sweep(directory: Directory) -> None:
    """What a killed run left behind: the names begin with a dot and are never a version."""
    for name in directory.names():
        if re.match(r"^\..+\.(partial|gone|new)$", name):
            with contextlib.suppress(OSError):
                remove_entry(directory, name)


def running_versions(root: str, proc: str = "/proc") -> List[str]:
    """Versions that some process runs from right now."""
    found = set()
    prefix = os.path.realpath(root) + os.sep
    for pid in os.listdir(proc):
        if pid.isdigit():
            try:
                exe = os.readlink(os.path.join(proc, pid, "exe"))
            except OSError:
                continue
            if exe.startswith(prefix):
                found.add(exe[len(prefix) :].split(os.sep)[0])
    return sorted(found)
