# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is run, and what is unpacked, when a local user can change the archive or its place."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._install import install
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.tests.attacks.conftest import ATTACKER, AsUser, Canary
from ansible_collections.gguf.fleet.tests.attacks.install.conftest import EXCHANGE, OLLAMA, VERSION, Host, release
from ansible_collections.gguf.fleet.tests.builders.archives import ollama_tree, tgz

ATTEMPTS = 40
# Writes one content and the other into the same file, for as long as it runs.
REWRITE = """
import sys
place, *sources = sys.argv[1:]
contents = [open(source, "rb").read() for source in sources]
with open(place, "r+b", buffering=0) as file:
    print("begun", flush=True)
    while True:
        for content in contents:
            file.seek(0)
            file.write(content)
"""


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def open_place(reachable: Path) -> Path:
    """Where everybody may write, as in /tmp."""
    place = reachable / "open"
    place.mkdir()
    place.chmod(0o1777)
    return place


def test_the_program_of_a_release_is_asked_for_its_version_as_nobody(
    host: Host, open_place: Path, canary: Canary, tmp_path: Path
) -> None:
    body = f"id -u > {open_place}/uid; cat {canary.path} > {open_place}/stolen; echo x >> {canary.path}"
    archive = tgz(tmp_path / "a.tgz", release(body))
    host.install({"src": str(archive), "sha256": digest_of(archive)})
    canary.check()
    # Neither does it write at all.
    assert {path.name: path.read_text().strip() for path in open_place.iterdir()}.get("uid", "") != "0"
    assert not (open_place / "stolen").exists() or (open_place / "stolen").read_bytes() == b""


def test_the_command_of_a_host_is_asked_as_nobody_too(host: Host, attackers: Path, canary: Canary) -> None:
    command = attackers / "ollama"
    command.write_text(f'#!/bin/sh\ncat {canary.path}\necho "ollama version is $(id -u)"\n')
    command.chmod(0o755)
    told = host.run("engine_info", {"engine": "ollama", "root": str(host.root), "command": str(command)})
    assert told["command_version"] not in ("0", "")
    assert "secret" not in str(told)


def install_often(root: Path, source: install.Source) -> int:
    """Installs the archive while somebody changes it: how often it went well, always with what was hashed."""
    installed = 0
    for _attempt in range(ATTEMPTS):
        try:
            install.install(OLLAMA, str(root), VERSION, [source], 1 << 30, record=lambda _path, _digests: None)
        except InstallProblem as problem:
            assert "wrong checksum" in str(problem)
            continue
        installed += 1
        assert "evil" not in (root / VERSION / "bin/ollama").read_text()
    return installed


def test_what_was_hashed_is_what_is_unpacked_when_the_archive_is_exchanged(
    host: Host, attackers: Path, as_user: AsUser
) -> None:
    good, evil = tgz(attackers / "good.tgz", ollama_tree(VERSION)), tgz(attackers / "evil.tgz", release("# evil"))
    for path in (good, evil):
        os.chown(path, ATTACKER, ATTACKER)
    source = install.Source(url=None, path=str(good), sha256=digest_of(good))
    attack = as_user(EXCHANGE, good, evil)
    assert attack.stdout is not None and attack.stdout.readline() == "begun\n"
    assert install_often(host.root, source) > 0


def test_what_was_hashed_is_what_is_unpacked_when_its_owner_writes_to_the_archive(
    host: Host, attackers: Path, as_user: AsUser
) -> None:
    good, evil = tgz(attackers / "good.tgz", ollama_tree(VERSION)), tgz(attackers / "evil.tgz", release("# evil"))
    # Of one length, so that only whole archives are seen; zeros may follow the end of a gzip stream.
    size = max(path.stat().st_size for path in (good, evil))
    for path in (good, evil):
        path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    place = attackers / "archive.tgz"
    place.write_bytes(good.read_bytes())
    os.chown(place, ATTACKER, ATTACKER)
    source = install.Source(url=None, path=str(place), sha256=digest_of(good))
    attack = as_user(REWRITE, place, good, evil)
    assert attack.stdout is not None and attack.stdout.readline() == "begun\n"
    assert install_often(host.root, source) > 0


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_an_archive_that_is_something_else_is_refused(host: Host, attackers: Path, canary: Canary, kind: str) -> None:
    place = attackers / "archive.tgz"
    if kind == "link":
        place.symlink_to(canary.path)
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.mkdir()
    os.chown(place, ATTACKER, ATTACKER, follow_symlinks=False)
    done = host.install({"src": str(place), "sha256": "0" * 64})
    assert done["rc"] == 1
    assert str(place) in done["msg"]
    assert "root:secret" not in str(done)
    canary.check()


def test_a_place_for_the_versions_that_somebody_else_made_is_refused(
    host: Host, attackers: Path, tmp_path: Path
) -> None:
    archive = tgz(tmp_path / "a.tgz", ollama_tree("0.5.7"))
    source = {"src": str(archive), "sha256": digest_of(archive)}
    done = host.install(source, root=str(attackers / "ollama"))
    assert done["rc"] == 1
    assert "other users can change" in done["msg"]
    assert not (attackers / "ollama/0.5.7").exists()
