# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A directory that is filled from an archive which nobody here has seen before.

Everything goes by descriptors below the directory. Nothing is written through a link, nothing that exists is written
over, and no link leads out of the tree, however it is followed: steps up come first and climb real directories only.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import IO, Iterator, List, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.plugins.module_utils._text import plain_name_problem

COPY_BYTES = 1 << 20
# Releases hold a few hundred members; each takes an inode and some memory.
MAX_MEMBERS = 100_000
MAX_DEPTH = 32
MAX_TARGET = 4096
UNTRUSTED = "This is not a release archive to trust; get it from the official release."


def stays_inside(depth: int, target: str) -> bool:
    """Whether a link in a directory this deep below the top stays below the top, also when it leads to other links.

    Steps up lead through real directories when they come first. After a name, which may be a link by itself, a step up
    may lead anywhere.
    """
    steps = [step for step in target.split("/") if step not in ("", ".")]
    climbs = 0
    while climbs < len(steps) and steps[climbs] == "..":
        climbs += 1
    return target != "" and not target.startswith("/") and climbs <= depth and ".." not in steps[climbs:]


class Target:
    """One directory being filled, with the bytes that are still allowed."""

    def __init__(self, top: Directory, max_bytes: int) -> None:
        self.top = top
        self.max_bytes = max_bytes
        self.left_bytes = max_bytes
        self.members = 0

    def make_directory(self, name: str) -> None:
        steps = self._steps(name)
        with self._entered(steps, name):
            self._count()

    def fill(self, name: str, source: IO[bytes], mode: int) -> None:
        """A regular file, neither setuid nor writable for others, whatever the archive says."""
        with self._place(name) as (folder, last):
            descriptor = self._create(folder, last, name)
            with os.fdopen(descriptor, "wb") as sink:
                while True:
                    block = source.read(COPY_BYTES)
                    if not block:
                        break
                    self.left_bytes -= len(block)
                    if self.left_bytes < 0:
                        raise InstallProblem(
                            f"the archive unpacks to more than {self.max_bytes:,} bytes.",
                            "If a release really is so large, raise max_bytes; otherwise this is not a release.",
                        )
                    sink.write(block)
                os.fchmod(descriptor, 0o755 if mode & 0o111 else 0o644)

    def link(self, name: str, target: str) -> None:
        """A symbolic link."""
        with self._place(name) as (folder, last):
            self._symlink(folder, last, name, target)

    def hard_link(self, name: str, first: str) -> None:
        """Another name for a file that came before; where that is a link, another link like it."""
        *parents, old = self._steps(first) or [""]
        with self._place(name) as (folder, last), self._entered(parents, first, make=False) as before:
            status = before.status(old) if old else None
            if status is not None and stat.S_ISLNK(status.st_mode):
                self._symlink(folder, last, name, os.readlink(old, dir_fd=before.fd))
            elif status is not None and stat.S_ISREG(status.st_mode):
                with self._new(name):
                    os.link(old, last, src_dir_fd=before.fd, dst_dir_fd=folder.fd, follow_symlinks=False)
            else:
                raise InstallProblem(
                    f"the archive holds {name!r} as another name of {first!r}, which is no file before it.", UNTRUSTED
                )

    def _symlink(self, folder: Directory, last: str, name: str, target: str) -> None:
        if len(target) > MAX_TARGET or plain_name_problem(target) or not stays_inside(self._depth(name), target):
            raise InstallProblem(
                f"the archive holds the link {name!r} -> {target[:MAX_TARGET]!r}, which leaves its own directory.",
                UNTRUSTED,
            )
        with self._new(name):
            os.symlink(target, last, dir_fd=folder.fd)

    def _create(self, folder: Directory, last: str, name: str) -> int:
        with self._new(name):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(last, flags, 0o600, dir_fd=folder.fd)
        raise AssertionError("opened or raised")

    def _count(self) -> None:
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise InstallProblem(f"the archive holds more than {MAX_MEMBERS:,} members.", UNTRUSTED)

    @contextlib.contextmanager
    def _new(self, name: str) -> Iterator[None]:
        self._count()
        try:
            yield
        except FileExistsError:
            raise InstallProblem(f"the archive holds {name!r} twice.", UNTRUSTED) from None

    def _depth(self, name: str) -> int:
        return len(self._steps(name)) - 1

    @contextlib.contextmanager
    def _place(self, name: str) -> Iterator[Tuple[Directory, str]]:
        """The directory that a member goes to, made where it is missing, and the member's name there."""
        *parents, last = self._steps(name) or [""]
        if not last:
            raise InstallProblem(f"the archive holds {name!r}, which is not the name of a file.", UNTRUSTED)
        with self._entered(parents, name) as folder:
            yield folder, last

    @contextlib.contextmanager
    def _entered(self, steps: List[str], name: str, make: bool = True) -> Iterator[Directory]:
        with contextlib.ExitStack() as opened:
            here = self.top
            for step in steps:
                try:
                    here = opened.enter_context(here.enter(step, make=make))
                except (PathProblem, FileNotFoundError):
                    raise InstallProblem(
                        f"the archive writes {name!r} through {step!r}, which is not a directory of its own.", UNTRUSTED
                    ) from None
            yield here

    def _steps(self, name: str) -> List[str]:
        """The member's way below the top, or a refusal."""
        steps = [step for step in name.split("/") if step not in ("", ".")]
        if name.startswith("/") or ".." in steps:
            raise InstallProblem(
                f"the archive holds {name[:MAX_TARGET]!r}, which would land outside its own directory.", UNTRUSTED
            )
        problem = plain_name_problem(name)
        if problem or len(steps) > MAX_DEPTH:
            raise InstallProblem(
                f"the archive holds the name {name[:MAX_TARGET]!r}, which {problem or 'is too deep'}.", UNTRUSTED
            )
        return steps


def check_tree(top: Directory, depth: int = 0, way: str = "") -> None:
    """What a release may be made of: directories, files that only we can change, links that stay inside.

    Said of the tree as it is going to be used: a link that was moved up or down leads somewhere else.
    """
    for name in top.names():
        status = top.status(name)
        shown = os.path.join(way, name)
        wrong: Optional[str] = "is neither a file, a directory nor a link"
        if status is None:
            continue
        if stat.S_ISDIR(status.st_mode):
            with top.enter(name) as below:
                check_tree(below, depth + 1, shown)
            wrong = None
        elif stat.S_ISLNK(status.st_mode):
            target = os.readlink(name, dir_fd=top.fd)
            wrong = None if stays_inside(depth, target) else f"is a link that leaves its own directory: {target!r}"
        elif stat.S_ISREG(status.st_mode):
            wrong = None
        if wrong is None and not stat.S_ISLNK(status.st_mode) and status.st_mode & 0o7022:
            wrong = f"has the mode {stat.S_IMODE(status.st_mode):04o}"
        if wrong is not None:
            raise InstallProblem(f"{shown!r} of the release {wrong}.", UNTRUSTED)
