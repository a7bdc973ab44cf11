# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A local user puts a pipe, or a link to one, where root reads a file: root waits for nobody at its other end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.inspect import inspect
from ansible_collections.gguf.fleet.plugins.module_utils._http.client import HttpClient
from ansible_collections.gguf.fleet.plugins.module_utils._lock import lock_file
from ansible_collections.gguf.fleet.plugins.module_utils._lock.headers import read_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import ListedFile
from ansible_collections.gguf.fleet.plugins.module_utils._lock.measure import shard_blocks
from ansible_collections.gguf.fleet.plugins.module_utils._preflight import look
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.modules import modelfile

SECONDS = 20.0


def ends(read: Callable[[], object]) -> object:
    """What it returns, or the error of ours that it raises; it must not wait."""
    told: list[object] = []

    def run() -> None:
        try:
            told.append(read())
        except (Problem, OSError) as error:
            told.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert told, "it waits for the other end of the pipe"
    return told[0]


READERS: dict[str, Callable[[Path], object]] = {
    "gguf_info of a file": lambda pipe: inspect(str(pipe)),
    "gguf_info of a directory": lambda pipe: inspect(str(pipe.parent)),
    "modelfile": lambda pipe: modelfile.current_content(str(pipe)),
    "a lock file": lambda pipe: lock_file.load(str(pipe)),
    "a file of the path hub": lambda pipe: read_bytes(
        ListedFile(path=pipe.name, size_bytes=9, sha256=None, url=f"file://{pipe}"), 0, 9, HttpClient()
    ),
    "the merged file of a seal": lambda pipe: list(shard_blocks(str(pipe), [], lambda _at, _length: b"")),
}


@pytest.mark.parametrize("linked", [False, True], ids=["pipe", "link to a pipe"])
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_pipe_in_the_place_of_a_file_ends_at_once(
    attackers: Path, read: Callable[[Path], object], linked: bool
) -> None:
    place = attackers / "model.gguf"
    pipe = attackers / "pipe" if linked else place
    os.mkfifo(pipe)
    if linked:
        place.symlink_to(pipe)
        os.chown(place, os.stat(attackers).st_uid, -1, follow_symlinks=False)
    assert isinstance(ends(lambda: read(place)), (Problem, OSError))


def test_the_speed_of_a_disk_is_not_measured_on_what_a_file_became(
    attackers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = attackers / "model.gguf"
    with file.open("wb") as stream:
        stream.truncate(look.SMALLEST_PROBE_BYTES)
    assert ends(lambda: look.read_speed(str(attackers)))

    statuses = look._statuses

    def then_swapped(path: str) -> object:
        yield from statuses(path)
        file.unlink()
        os.mkfifo(file)

    monkeypatch.setattr(look, "_statuses", then_swapped)
    assert ends(lambda: look.read_speed(str(attackers))) is None


def test_a_file_that_goes_while_a_disk_is_looked_at_ends_nothing(
    attackers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "files_below", lambda _path: [str(attackers / "gone")])
    assert look.disk_of(str(attackers)).free_bytes > 0
