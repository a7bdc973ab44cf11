# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the attacks share: an unprivileged attacker, and a file of root by which a success of theirs would be seen."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# No account has it: the attacker has no more rights than any local user.
ATTACKER = 61234


@dataclass(frozen=True)
class Canary:
    """A file of root's that no attack may read, change, remove, link or give away."""

    path: Path
    content: bytes

    def check(self) -> None:
        status = self.path.lstat()
        assert stat.S_ISREG(status.st_mode), "the canary was replaced"
        assert self.path.read_bytes() == self.content, "the canary was changed"
        assert (status.st_uid, status.st_gid) == (0, 0), "the canary was given away"
        assert stat.S_IMODE(status.st_mode) == 0o600, f"the canary's mode became {stat.S_IMODE(status.st_mode):04o}"
        assert status.st_nlink == 1, "the canary was linked"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            if "/attacks/" in str(item.path):
                item.add_marker(pytest.mark.skip(reason="attacks need root: they act as root and as another user"))


@pytest.fixture
def reachable(tmp_path: Path) -> Path:
    """A directory of root's that every user can reach."""
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path


@pytest.fixture
def canary(reachable: Path) -> Canary:
    folder = reachable / "of-root"
    folder.mkdir(mode=0o755)
    found = Canary(folder / "shadow", b"root:secret\n")
    found.path.write_bytes(found.content)
    found.path.chmod(0o600)
    return found


@pytest.fixture
def attackers(reachable: Path) -> Path:
    """A directory that belongs to the attacker."""
    folder = reachable / "of-attacker"
    folder.mkdir(mode=0o755)
    os.chown(folder, ATTACKER, ATTACKER)
    return folder


AsUser = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def as_user() -> Iterator[AsUser]:
    """Starts Python code as the attacker: as_user(code, *arguments) gives the process; it is killed after the test."""
    running: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-S", "-c", code, *map(str, arguments)]
        # The interpreter may lie where only root comes in.
        if not os.access(Path(sys.executable).resolve(), os.X_OK) or _hidden(Path(sys.executable).resolve()):
            command[0] = "/usr/bin/python3"
        process = subprocess.Popen(
            command, user=ATTACKER, group=ATTACKER, extra_groups=[], cwd="/", text=True, stdout=subprocess.PIPE
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


def _hidden(path: Path) -> bool:
    return any(not folder.stat().st_mode & stat.S_IXOTH for folder in path.parents)
