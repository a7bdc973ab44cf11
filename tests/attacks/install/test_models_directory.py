# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of the verified files, where somebody else has been before."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._host import models_directory
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.tests.attacks.conftest import ATTACKER, Canary


@pytest.fixture(autouse=True)
def ledger(reachable: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("GGUF_FLEET_LEDGER", str(reachable / "state/ledger.json"))
    return Ledger()


@pytest.mark.parametrize("place", ["models", "models/deeper"])
def test_a_link_of_a_local_user_is_not_followed(attackers: Path, place: str) -> None:
    hers = attackers.parent / "hers"
    hers.mkdir()
    os.chown(hers, ATTACKER + 1, ATTACKER + 1)
    (attackers / "models").symlink_to(hers)
    os.chown(attackers / "models", ATTACKER, ATTACKER, follow_symlinks=False)
    with pytest.raises(Problem):
        models_directory.present(str(attackers / place))
    assert hers.stat().st_uid == ATTACKER + 1
    assert list(hers.iterdir()) == []


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_its_mode_and_that_of_the_directories_above_are_as_documented(reachable: Path, umask: int) -> None:
    path = reachable / "srv/fleet/models"
    before = os.umask(umask)
    try:
        assert models_directory.present(str(path), check=True).actions
        assert not path.exists()
        assert models_directory.present(str(path)).actions
    finally:
        os.umask(before)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent, path.parent.parent)] == [0o755] * 3
    assert models_directory.present(str(path)).actions == ()


def test_only_our_files_are_taken_away(reachable: Path, canary: Canary, ledger: Ledger) -> None:
    path = reachable / "models"
    (path / "r1").mkdir(parents=True)
    ours, replaced, hers = path / "r1/a.gguf", path / "r1/b.gguf", path / "r1/hers.gguf"
    for file in (ours, replaced, hers, path / "r1/c.gguf.partial", path / "r1/.c.gguf.merge-journal"):
        file.write_text(file.name)
    for file in (ours, replaced):
        ledger.record(str(file), sha256="0" * 64, kind="file")
    replaced.unlink()
    replaced.symlink_to(canary.path)
    told = models_directory.absent(str(path), check=True)
    assert ours.exists()
    done = models_directory.absent(str(path))
    assert done == told
    assert sorted(done.stays) == [str(replaced), str(hers)]
    assert sorted(each.name for each in (path / "r1").iterdir()) == ["b.gguf", "hers.gguf"]
    canary.check()
    hers.unlink()
    replaced.unlink()
    assert models_directory.absent(str(path)).stays == ()
    assert not path.exists()
    assert models_directory.absent(str(path)).actions == ()
