# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that is full in the middle of a change: either all of it is done, or nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._install import install, releases
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.tests.attacks.install.conftest import OLLAMA, Host
from ansible_collections.gguf.fleet.tests.builders.archives import ollama_tree, tgz


@pytest.fixture
def small(reachable: Path) -> Iterator[Path]:
    """A file system that has room for few files."""
    place = reachable / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "nr_inodes=24,mode=0755", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this container may not mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> None:
    for number in range(100):
        try:
            (place / f"filler-{number}").touch()
        except OSError:
            return


def links_of(*paths: Path) -> list[str]:
    return [os.readlink(path) if path.is_symlink() else path.read_text() for path in paths]


@pytest.mark.parametrize("free", range(4))
def test_a_switch_is_made_whole_or_not_at_all(small: Path, reachable: Path, free: int) -> None:
    root, command = small / "ollama", reachable / "bin/ollama"
    for version in ("1.0", "2.0", "3.0"):
        (root / version).mkdir(parents=True)
    command.parent.mkdir()
    command.write_text("of somebody else")
    releases.switch(str(root), "1.0", {})
    releases.switch(str(root), "2.0", {})
    places = (root / "current", root / "previous", command)
    before = links_of(*places)
    fill(small)
    for number in range(free):
        (small / f"filler-{number}").unlink()
    try:
        releases.switch(str(root), "3.0", {str(command): "bin/ollama"})
    except OSError:
        assert links_of(*places) == before
        assert free < 2
    else:
        assert links_of(*places) == ["3.0", "2.0", str(root / "current/bin/ollama")]
        assert free >= 2
    assert not [path.name for path in root.iterdir() if path.name.endswith(".new")]


def test_a_version_that_cannot_be_noted_is_taken_back(host: Host, tmp_path: Path) -> None:
    def note(_path: str, _digests: object) -> None:
        raise OSError(28, "No space left on device")

    def nothing(_path: str, _digests: object) -> None:
        pass

    def bring(version: str, body: str, record: install.Record) -> None:
        path = tgz(tmp_path / "a.tgz", {**ollama_tree(version, body)})
        install.install(
            OLLAMA, str(host.root), version, [install.Source(None, str(path), None)], 1 << 30, record=record
        )

    with pytest.raises(InstallProblem, match="No space left on device"):
        bring("0.5.7", "", note)
    assert list(host.root.iterdir()) == []
    bring("0.5.7", "# the first", nothing)
    with pytest.raises(InstallProblem, match="No space left on device"):
        bring("0.5.7", "# the second", note)
    assert "the first" in (host.root / "0.5.7/bin/ollama").read_text()
    assert [path.name for path in host.root.iterdir()] == ["0.5.7"]
