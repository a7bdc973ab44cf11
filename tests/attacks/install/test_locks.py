# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Local users who hold locks, so that runs wait for nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._files.lock import exclusive as exclusive_file
from ansible_collections.gguf.fleet.plugins.module_utils._install.lock import exclusive
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.tests.attacks.conftest import ATTACKER, AsUser
from ansible_collections.gguf.fleet.tests.attacks.install.conftest import Host

# Locks everything below a directory that it can open, itself included, and says what.
HOLD = """
import fcntl, os, sys, time
held = []
for top, folders, files in os.walk(sys.argv[1]):
    for path in [top, *(os.path.join(top, name) for name in files)]:
        try:
            held.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
            fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
print(len(held), flush=True)
time.sleep(600)
"""
SECONDS = 3.0


def test_whoever_holds_all_that_he_can_open_blocks_no_run(host: Host, reachable: Path, as_user: AsUser) -> None:
    host.root.mkdir(parents=True, mode=0o755)
    with exclusive(str(host.root), SECONDS):
        pass
    attack = as_user(HOLD, reachable)
    assert attack.stdout is not None and int(attack.stdout.readline()) > 0
    with exclusive(str(host.root), SECONDS):
        pass


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_a_lock_is_closed_to_others_under_every_umask(host: Host, reachable: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with exclusive(str(host.root), SECONDS):
            pass
    finally:
        os.umask(before)
    folder = reachable / "state/locks"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600]
    assert stat.S_IMODE((reachable / "state").stat().st_mode) == 0o755


def test_a_lock_that_a_local_user_made_is_refused_and_not_waited_for(attackers: Path) -> None:
    place = attackers / "locks"
    place.mkdir()
    os.chown(place, ATTACKER, ATTACKER)
    with pytest.raises(Problem, match="other users can change"), exclusive_file(str(place), "x.lock", SECONDS, "x"):
        raise AssertionError("the lock of somebody else was taken")


def test_two_runs_still_take_turns(host: Host) -> None:
    with (
        exclusive(str(host.root), SECONDS),
        pytest.raises(InstallProblem, match="another run"),
        exclusive(str(host.root), 0.5),
    ):
        raise AssertionError("two runs at once")
