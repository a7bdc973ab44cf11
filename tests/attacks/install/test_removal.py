# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing what a local user filled: of any depth, with links and mounts in it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_tree
from ansible_collections.gguf.fleet.tests.attacks.conftest import AsUser, Canary

DEEP = """
import os, sys
os.chdir(sys.argv[1])
for _level in range(5000):
    os.mkdir("d")
    os.chdir("d")
    open("file", "w").close()
"""


def test_a_tree_that_is_deeper_than_python_and_descriptors_allow_is_removed(attackers: Path, as_user: AsUser) -> None:
    assert as_user(DEEP, attackers).wait(60) == 0
    try:
        assert remove_tree(str(attackers / "d"))
        assert list(attackers.iterdir()) == []
    finally:
        # Python's own removal, by which pytest cleans up, does not manage it.
        subprocess.run(["rm", "-rf", str(attackers / "d")], check=True)


def test_links_in_a_tree_are_removed_and_not_followed(attackers: Path, canary: Canary) -> None:
    tree = attackers / "tree/below"
    tree.mkdir(parents=True)
    (tree / "file").symlink_to(canary.path)
    (tree / "folder").symlink_to(canary.path.parent)
    assert remove_tree(str(attackers / "tree"))
    canary.check()


def test_what_is_mounted_in_a_tree_is_left_also_when_it_is_of_the_same_file_system(reachable: Path) -> None:
    others, tree = reachable / "others", reachable / "tree"
    (tree / "models").mkdir(parents=True)
    others.mkdir()
    (others / "model.gguf").write_text("hers")
    mounted = subprocess.run(["mount", "--bind", str(others), str(tree / "models")], check=False, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this container may not mount a directory")
    try:
        with pytest.raises(OSError):
            remove_tree(str(tree))
        assert (others / "model.gguf").read_text() == "hers"
    finally:
        subprocess.run(["umount", str(tree / "models")], check=True)
    assert remove_tree(str(tree))
    assert not os.path.lexists(tree)
