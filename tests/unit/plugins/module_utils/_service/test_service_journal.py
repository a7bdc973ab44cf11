# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the writers of a service's files leave, under any umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import change, journal
from ansible_collections.gguf.fleet.plugins.module_utils._service.plan import File, Found
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem


@pytest.fixture(params=[0o077, 0o000], ids=["umask 077", "umask 000"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(journal, "PENDING", str(tmp_path / "lib" / "pending"))
    old = os.umask(request.param)
    yield tmp_path
    os.umask(old)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


BEFORE = journal.Before(
    files={"/etc/a": Found("KEY=\udcff\u2028", 0o600, (0, 5)), "/etc/b": None},
    root="/opt/ollama",
    links=("0.5.7", None),
    served=True,
    enabled=False,
    reasons=("b changed",),
)


def test_the_state_before_a_change_is_root_s_alone_and_read_back_as_it_was(folder: Path) -> None:
    journal.write("demo", BEFORE)
    journal.write_reasons("demo", ["it changed"])
    kept = folder / "lib" / "pending"
    assert mode(folder / "lib") == 0o755
    assert mode(kept) == 0o700
    assert {path.name: mode(path) for path in kept.iterdir()} == {"demo.before.json": 0o600, "demo.json": 0o600}
    assert journal.read("demo") == BEFORE
    assert journal.read_reasons("demo") == ["it changed"]


def test_the_directory_of_an_earlier_version_is_closed(folder: Path) -> None:
    (folder / "lib").mkdir(mode=0o755)
    (folder / "lib/pending").mkdir(mode=0o755)
    journal.make_directory()
    assert mode(folder / "lib" / "pending") == 0o700


def test_files_of_a_service_have_the_mode_that_they_are_given(folder: Path) -> None:
    path = folder / "demo.service.d" / "gguf-fleet.conf"
    change.write(File(str(path), "[Service]\n"))
    assert (mode(path), mode(path.parent)) == (0o644, 0o755)
    change.write(File(str(path), "KEY=1\n", 0o600))
    assert mode(path) == 0o600
    assert journal.read_files([str(path)])[str(path)].content == "KEY=1\n"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": {"a": 1}}', "\xff"])
def test_a_damaged_state_is_said_and_not_guessed(folder: Path, text: str) -> None:
    journal.make_directory()
    Path(journal.PENDING, "demo.before.json").write_text(text, encoding="latin-1")
    with pytest.raises(ServiceProblem, match="is damaged"):
        journal.read("demo")
