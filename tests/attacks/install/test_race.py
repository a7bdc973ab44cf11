# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing and uninstalling beside a local user who exchanges, at random, everything that is his."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import time
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_tree
from ansible_collections.gguf.fleet.plugins.module_utils._install import install, record, releases
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.tests.attacks.conftest import AsUser, Canary
from ansible_collections.gguf.fleet.tests.attacks.install.conftest import OLLAMA, VERSION, Host
from ansible_collections.gguf.fleet.tests.builders.archives import ollama_tree, tgz

# In his directory: the names that root uses, and beside them links to what is root's, pipes, and other files. Any two
# are exchanged, what is missing is made again.
ATTACK = """
import ctypes, os, random, sys
libc = ctypes.CDLL(None, use_errno=True)
home, canary, good, seed = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
random.seed(seed)
os.chdir(home)
content = open(good, "rb").read()

def tree(name):
    for folder in ("", "/bin", "/lib", "/lib/ollama", "/models", "/models/blobs"):
        os.mkdir(name + folder, 0o755)
    with open(name + "/bin/ollama", "w") as file:
        file.write("#!/bin/sh\\necho ollama version is 0.5.9\\n")
    os.chmod(name + "/bin/ollama", 0o755)

def make(name):
    kind = random.randrange(7)
    if kind == 0: os.symlink(os.path.dirname(canary), name)
    elif kind == 1: os.symlink(canary, name)
    elif kind == 2: os.mkfifo(name)
    elif kind == 3: os.symlink("/", name)
    elif kind == 4: open(name, "wb").write(content)
    else: tree(name)

def spots():
    for top in ("archive.tgz", "prefix", "commands", "home", "x1", "x2", "x3", "x4"):
        yield top
        for below in ("bin", "lib", "lib/ollama", "bin/ollama", "models", "models/blobs", "ollama"):
            yield top + "/" + below

names = list(spots())
tops = [name for name in names if "/" not in name]
print("begun", flush=True)
while True:
    try:
        choice = random.randrange(4)
        if choice == 0:
            make(random.choice(names))
        else:
            places = tops if choice == 1 else names
            first, second = (name.encode() for name in random.sample(places, 2))
            libc.renameat2(-100, first, -100, second, 2)
    except OSError:
        pass
"""


SECRET = "of root only"


def decoys(folder: Path) -> dict[str, tuple[int, ...]]:
    """What is root's, under the names that root looks for where the attacker leads it."""
    for name in ("ollama", "archive.tgz", "bin/ollama", "lib/ollama/libx.so", "models/blobs/sha256-0", "home/models/m"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\necho ollama version is 0.5.8\n# {SECRET}\n")
        (folder / name).chmod(0o700)
    return state_of(folder)


def state_of(folder: Path) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for path in sorted((folder, *folder.rglob("*"))):
        status = path.lstat()
        found[str(path)] = (status.st_ino, status.st_mode, status.st_uid, status.st_size, status.st_nlink)
    return found


def race(host: Host, attackers: Path, canary: Canary, as_user: AsUser, seconds: float) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    good = tgz(attackers.parent / "good.tgz", ollama_tree(VERSION))
    good.chmod(0o644)
    source = install.Source(None, str(attackers / "archive.tgz"), hashlib.sha256(good.read_bytes()).hexdigest())
    links = {str(attackers / "commands/ollama"): "bin/ollama", str(attackers / "x1/bin/ollama"): "bin/ollama"}
    attack = as_user(ATTACK, attackers, canary.path, good, seed)
    assert attack.stdout is not None and attack.stdout.readline() == "begun\n"
    root = str(host.root)
    before = decoys(canary.path.parent)
    attempts = 0

    def bring() -> None:
        install.install(OLLAMA, root, VERSION, [source], 1 << 30, record=record.writer(OLLAMA, root))

    def adopt() -> None:
        install.adopt(OLLAMA, root, str(attackers / "prefix"), record.writer(OLLAMA, root, adopted=True))

    def switch() -> None:
        releases.switch(root, VERSION, links)

    def remove() -> None:
        for path, below in links.items():
            releases.unlink_ours(root, path, below)
        for found in record.read(OLLAMA, root).releases:
            releases.remove(root, found.version)

    def clear() -> None:
        remove_tree(str(attackers / chance.choice(("home", "prefix", "x1/models", "x2"))))

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        attempts += 1
        # What his exchanges make impossible is a refusal, and never a deed elsewhere.
        with contextlib.suppress(Problem, OSError):
            # Most of those that take little time: it is the number of tries that finds something.
            chance.choice((bring, adopt, *(switch, remove, clear) * 8))()
    assert attack.poll() is None, "the attacker has given up"
    assert attempts > 10
    canary.check()
    assert state_of(canary.path.parent) == before
    for folder, _names, files in os.walk(host.root):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            assert path.lstat().st_uid == 0, path
            assert path.is_symlink() or not path.lstat().st_mode & 0o7022, path
            assert not path.is_file() or path.is_symlink() or SECRET not in path.read_text(errors="replace"), path


@pytest.mark.timeout(120)
def test_a_user_who_exchanges_everything_of_his_gains_nothing(
    host: Host, attackers: Path, canary: Canary, as_user: AsUser
) -> None:
    race(host, attackers, canary, as_user, 5)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_user_who_exchanges_everything_of_his_gains_nothing_in_minutes(
    host: Host, attackers: Path, canary: Canary, as_user: AsUser
) -> None:
    race(host, attackers, canary, as_user, 180)
