# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers that have no test of their own for it: the modes of what they leave do not depend on the caller's umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._lock import lock_file
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Status, StatusFile
from ansible_collections.gguf.fleet.plugins.modules import modelfile


@pytest.fixture(autouse=True, params=[0o077, 0o022, 0o000], ids=lambda mask: f"umask {mask:03o}")
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def ledger(path: Path) -> None:
    noted = path.parent / "noted"
    noted.write_bytes(b"")
    Ledger(str(path)).record(str(noted), sha256=None, kind="file")


# What it writes, and the mode of a new file.
WRITERS: dict[str, tuple[Callable[[Path], object], int]] = {
    "the lock file": (lambda path: lock_file.save(str(path), {}), 0o644),
    "a Modelfile": (lambda path: modelfile.write(str(path), "FROM x\n"), 0o644),
    "the ledger": (ledger, 0o644),
    "the status of a transfer": (lambda path: StatusFile(str(path), {}).write(Status("download", 0, 1)), 0o644),
}


@pytest.mark.parametrize(("write", "mode"), WRITERS.values(), ids=WRITERS)
def test_a_writer_leaves_the_mode_that_it_should(tmp_path: Path, write: Callable[[Path], object], mode: int) -> None:
    path = tmp_path / "file"
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("write", [WRITERS["the lock file"][0], WRITERS["a Modelfile"][0]])
def test_a_file_that_is_there_keeps_its_mode(tmp_path: Path, write: Callable[[Path], object]) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 and path.read_text() != "old"
