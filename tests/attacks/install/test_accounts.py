# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, groups and homes: what we made goes, what was there before stays. Over a copy of /etc in a mount namespace."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

TESTS = Path(__file__).resolve().parents[2]
BEGIN = """
import grp, os, pwd, sys
sys.path.insert(0, sys.argv[1])
import conftest
from ansible_collections.gguf.fleet.plugins.module_utils._install import account
place = sys.argv[2]
home = place + "/lib/ollama"
wanted = account.Wanted("fleet-ollama", home, "Ollama", ())
def present(wanted=wanted):
    told = account.plan_present(wanted)
    account.make_present(wanted)
    assert account.plan_present(wanted) == []
    return told
def absent(name="fleet-ollama"):
    removal = account.plan_absent(name)
    account.make_absent(name, removal)
    return list(removal.actions), list(removal.stays)
def users(): return {user.pw_name for user in pwd.getpwall()}
def groups(): return {group.gr_name for group in grp.getgrall()}
def run(command): assert os.system(command) == 0, command
"""

Sandbox = Callable[[str], None]


@pytest.fixture
def sandbox(reachable: Path) -> Sandbox:
    """Runs code with users of its own."""
    etc = reachable / "etc"
    shutil.copytree("/etc", etc, symlinks=True)

    def run(code: str) -> None:
        inside = 'mount --bind "$1" /etc && shift && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", inside, "sh", str(etc)]
        program = [sys.executable, "-c", BEGIN + code, str(TESTS), str(reachable)]
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "GGUF_FLEET_LEDGER": str(reachable / "state/ledger.json"),
        }
        done = subprocess.run([*command, *program], text=True, capture_output=True, check=False, env=environment)
        if "unshare" in done.stderr and done.returncode != 0:
            pytest.skip("this container may not make a mount namespace")
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def test_what_was_made_goes_again(sandbox: Sandbox) -> None:
    sandbox("""
os.umask(0o077)
assert present() == [f"make the group {wanted.name}", f"make the user {wanted.name}", f"make the directory {home}"]
assert oct(os.stat(home).st_mode) == "0o40755" and os.stat(home).st_uid == pwd.getpwnam(wanted.name).pw_uid
open(home + "/file", "w").close()
actions, stays = absent()
assert actions == [f"remove the user {wanted.name}", f"remove the group {wanted.name}", f"remove the directory {home}"]
assert stays == []
assert wanted.name not in users() | groups() and not os.path.exists(home)
assert absent() == ([], [])
""")


def test_a_user_that_was_there_before_stays_with_its_home_whatever_its_name(sandbox: Sandbox) -> None:
    sandbox("""
run("useradd --create-home --base-dir " + place + " fleet-ollama")
theirs = place + "/fleet-ollama/thesis.txt"
open(theirs, "w").close()
hers = account.Wanted("fleet-ollama", place + "/fleet-ollama", "Ollama", ("video",))
assert present(hers) == ["add fleet-ollama to video"]
stays = ["the user fleet-ollama was not made by this collection"]
assert absent() == (["remove fleet-ollama from the group video"], stays)
assert absent() == ([], stays)
assert "fleet-ollama" in users() & groups() and os.path.exists(theirs)
assert "fleet-ollama" not in grp.getgrnam("video").gr_mem
""")


def test_a_group_and_a_home_that_were_there_before_stay(sandbox: Sandbox) -> None:
    sandbox("""
run("groupadd fleet-ollama && mkdir -p " + home)
assert present() == ["make the user fleet-ollama"]
assert absent()[0] == ["remove the user fleet-ollama"]
assert "fleet-ollama" in groups() - users() and os.path.isdir(home)
""")


def test_a_user_that_somebody_made_anew_stays(sandbox: Sandbox) -> None:
    sandbox("""
present()
run("userdel fleet-ollama && useradd --uid 54321 fleet-ollama")
assert absent() == ([], ["the user fleet-ollama was not made by this collection"])
assert "fleet-ollama" in users() and os.path.isdir(home)
""")


@pytest.mark.parametrize("kind", ["directory", "link"])
def test_a_home_that_somebody_put_in_the_place_of_ours_stays(sandbox: Sandbox, kind: str) -> None:
    make = "os.mkdir(home)" if kind == "directory" else "os.mkdir(home + '2'); os.symlink(home + '2', home)"
    sandbox(f"""
present()
os.rename(home, home + "-old")
{make}
open(home + "/theirs", "w").close()
assert absent()[1] == [f"the directory {{home}} was not made by this collection"]
assert os.path.exists(home + "/theirs")
""")


def test_a_change_that_fails_in_its_middle_is_taken_back(sandbox: Sandbox) -> None:
    sandbox("""
try:
    account.make_present(account.Wanted("fleet-ollama", home, "Ollama", ("no-such-group",)))
except account.AccountProblem as problem:
    assert "no-such-group" in problem.problem
else:
    raise AssertionError("no group of that name")
assert "fleet-ollama" not in users() | groups() and not os.path.exists(home)
""")
