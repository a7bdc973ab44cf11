# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hostile source, while root lets it be built: it becomes nobody else, stays in its place and publishes nothing."""

from __future__ import annotations

import dataclasses
import io
import os
import stat
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._build import compile as building
from ansible_collections.gguf.fleet.plugins.module_utils._build import result
from ansible_collections.gguf.fleet.plugins.module_utils._build.problem import BuildProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._process.own_user import User, run_as
from ansible_collections.gguf.fleet.tests.attacks.conftest import Canary
from ansible_collections.gguf.fleet.tests.builders import llama_source

# Not the attacker of other tests: all that runs as a builder is ended after each build, and tests run side by side.
BUILDER_ID = 61235
BUILDER = User(BUILDER_ID, BUILDER_ID)
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}


@pytest.fixture
def attackers(reachable: Path) -> Path:
    """A directory of the builder's."""
    folder = reachable / "builders"
    folder.mkdir()
    os.chown(folder, BUILDER_ID, BUILDER_ID)
    return folder


def run(place: Path, script: str, seconds: float = 30.0) -> list[str]:
    """What a shell script of the builder prints in a directory."""
    told: list[str] = []
    with Directory.open(str(place)) as directory:
        run_as(
            BUILDER,
            ["/bin/sh", "-c", script],
            directory=directory.fd,
            environment=ENVIRONMENT,
            seconds=seconds,
            on_line=told.append,
        )
    return told


def processes_of(uid: int) -> list[str]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        if f"\nUid:\t{uid}\t" in status and "\nState:\tZ" not in status:
            found.append(pid)
    return found


def test_it_is_built_as_its_own_user_who_cannot_become_more(attackers: Path, canary: Canary) -> None:
    told = run(attackers, f"id -u; id -G; grep NoNewPrivs /proc/self/status; cat {canary.path} || echo refused; env")
    assert told[:2] == [str(BUILDER_ID), str(BUILDER_ID)]
    assert told[2].split() == ["NoNewPrivs:", "1"]
    assert "refused" in told and "root:secret" not in told
    # Nothing of root's environment.
    assert {line.partition("=")[0] for line in told[4:] if "=" in line} <= {
        "PATH",
        "HOME",
        "PWD",
        "SHLVL",
        "_",
        "OLDPWD",
    }
    canary.check()


def test_nothing_of_a_build_outlives_it(attackers: Path) -> None:
    hide = "(setsid sh -c 'trap \"\" HUP TERM; while :; do /bin/sleep 1; done' >/dev/null 2>&1 &) ; echo begun"
    assert run(attackers, hide) == ["begun"]
    end = time.monotonic() + 20
    while processes_of(BUILDER_ID) and time.monotonic() < end:
        time.sleep(0.05)
    assert processes_of(BUILDER_ID) == []


def test_a_build_that_never_ends_or_floods_is_ended(attackers: Path) -> None:
    with pytest.raises(Problem, match="did not end in time"):
        run(attackers, "while :; do head -c 100000 /dev/zero; done", seconds=1.0)


def packed(programs: Path, owner: int = BUILDER_ID) -> dict[str, Any]:
    """The members of what root makes of a directory."""
    sink = io.BytesIO()
    with Directory.open(str(programs)) as directory:
        result.pack(directory, owner, ["llama-server"], sink)
    with tarfile.open(fileobj=io.BytesIO(sink.getvalue())) as archive:
        return {member.name: member for member in archive.getmembers()}


@pytest.fixture
def programs(attackers: Path) -> Path:
    folder = attackers / "bin"
    folder.mkdir()
    for name in ("llama-server", "libllama.so.0.0.1", "not-asked-for"):
        (folder / name).write_bytes(b"program")
        os.chown(folder / name, BUILDER_ID, BUILDER_ID)
        (folder / name).chmod(0o777)
    os.symlink("libllama.so.0.0.1", folder / "libllama.so")
    return folder


def test_root_gives_what_it_takes_new_owners_and_modes(programs: Path) -> None:
    members = packed(programs)
    assert sorted(members) == ["bin/libllama.so", "bin/libllama.so.0.0.1", "bin/llama-server"]
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}
    assert {member.mode for member in members.values() if member.isreg()} == {0o755}


def _replace(programs: Path, name: str) -> Path:
    (programs / name).unlink(missing_ok=True)
    return programs / name


HOSTILE = {
    "a link to a file of root": lambda folder, file: os.symlink(file, _replace(folder, "llama-server")),
    "a library that is such a link": lambda folder, file: os.symlink(file, folder / "libevil.so"),
    "a link out of its directory": lambda folder, _file: os.symlink("../bin/llama-server", folder / "libevil.so"),
    "a link to nothing": lambda folder, _file: os.symlink("libgone.so", folder / "libevil.so"),
    "another name of a file of root": lambda folder, file: os.link(file, _replace(folder, "llama-server")),
    "a file of somebody else": lambda folder, _file: os.chown(folder / "llama-server", 0, 0),
    "a setuid program": lambda folder, _file: (folder / "llama-server").chmod(0o4755),
    "a pipe": lambda folder, _file: os.mkfifo(_replace(folder, "llama-server")),
    "a directory": lambda folder, _file: _replace(folder, "llama-server").mkdir(),
}


@pytest.mark.parametrize("attack", HOSTILE.values(), ids=HOSTILE)
def test_root_takes_nothing_but_files_of_the_build_itself(attack: Any, programs: Path, canary: Canary) -> None:
    attack(programs, canary.path)
    links = canary.path.lstat().st_nlink
    with pytest.raises(BuildProblem):
        packed(programs)
    if links > 1:
        (programs / "llama-server").unlink()
    canary.check()


def request(folder: Path, **given: Any) -> building.Request:
    source = folder / "source.tar.gz"
    sha256 = llama_source.archive(source, llama_source.files())
    wanted: dict[str, Any] = {"source": str(source), "source_sha256": sha256, "dest": str(folder / "a.tar.gz"), **given}
    return building.Request("b11500-1", definitions=[], targets=["llama-server"], room_bytes=0, **wanted)


@pytest.mark.parametrize("name", ["", "source", "tmp"])
def test_a_link_that_waits_at_a_place_of_the_build_is_not_followed(
    name: str, attackers: Path, canary: Canary, reachable: Path
) -> None:
    folder = canary.path.parent
    place = attackers / "b11500-1" / name
    place.parent.mkdir(exist_ok=True)
    if name:
        os.chown(place.parent, BUILDER_ID, BUILDER_ID)
    os.symlink(folder, place)
    before = {path.name: path.lstat() for path in folder.iterdir()}
    # A link at the place of the source is removed, and what comes there is refused.
    wanted = request(reachable, **({"source_sha256": "0" * 64} if name == "source" else {}))
    with Directory.open(str(attackers)) as home, pytest.raises((Problem, OSError)):
        building.build_in(home, BUILDER, wanted, lambda *_told: None)
    assert {path.name: path.lstat() for path in folder.iterdir()}.keys() == before.keys()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755 and folder.stat().st_uid == 0
    canary.check()


def test_a_source_with_another_checksum_is_not_even_unpacked(attackers: Path, reachable: Path) -> None:
    with Directory.open(str(attackers)) as home, pytest.raises(Problem, match="wrong checksum"):
        building.build_in(home, BUILDER, request(reachable, source_sha256="0" * 64), lambda *_told: None)
    assert not (attackers / "b11500-1/source").exists()


def test_the_archive_of_a_source_does_not_leave_its_directory(attackers: Path, reachable: Path) -> None:
    wanted = request(reachable)
    hostile = llama_source.archive(Path(wanted.source), {"../../x": "evil"})
    with Directory.open(str(attackers)) as home, pytest.raises(Problem, match="outside its own directory"):
        building.build_in(home, BUILDER, dataclasses.replace(wanted, source_sha256=hostile), lambda *_told: None)
    assert not (attackers.parent / "x").exists()
