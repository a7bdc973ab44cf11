# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of a model is swapped between its check and its use, and the store is full of rubbish."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.tests.attacks.conftest import ATTACKER, AsUser, Canary
from ansible_collections.gguf.fleet.tests.attacks.store.conftest import MODEL, Host, give, seconds, swap
from ansible_collections.gguf.fleet.tests.builders import gguf as builders

DIGEST = hashlib.sha256(MODEL).hexdigest()


def theirs(host: Host) -> Path:
    file = host.models.parent / "model.gguf"
    file.write_bytes(MODEL)
    os.chown(file, ATTACKER, ATTACKER)
    return file


def blob(host: Host) -> Path:
    return host.blobs / f"sha256-{DIGEST}"


def test_a_file_that_is_swapped_for_a_link_never_gives_away_what_the_link_names(
    host: Host, canary: Canary, as_user: AsUser
) -> None:
    host.make()
    file, link = theirs(host), host.models.parent / "link"
    link.symlink_to(canary.path)
    give(link)
    swap(as_user, file, link)
    brought = 0
    for attempt in seconds(3):
        try:
            host.bring(file, f"model{attempt % 8}")
            brought += 1
        except Problem:
            pass
        canary.check()
        # Each attempt protects and links anew.
        for found in host.blobs.iterdir():
            found.unlink()
        for name in (file, link):
            os.lchown(name, ATTACKER, ATTACKER)
    assert brought


def test_a_file_that_is_swapped_for_another_is_in_the_store_under_its_own_digest_only(
    host: Host, as_user: AsUser
) -> None:
    host.make()
    file, other = theirs(host), host.models.parent / "other.gguf"
    other.write_bytes(builders.gguf({**builders.MODEL_KV, "general.name": ("str", "other")}, builders.tensors(2)))
    give(other)
    swap(as_user, file, other)
    brought = 0
    for attempt in seconds(3):
        try:
            host.bring(file, f"model{attempt % 8}")
            brought += 1
        except Problem:
            pass
        for found in host.blobs.iterdir():
            assert found.name == f"sha256-{hashlib.sha256(found.read_bytes()).hexdigest()}"
            found.unlink()
    assert brought


def test_another_name_of_a_closed_file_of_root_is_refused_and_left_as_it_is(host: Host, reachable: Path) -> None:
    host.make()
    private = reachable / "private.gguf"
    private.write_bytes(MODEL)
    private.chmod(0o600)
    linked = host.models.parent / "model.gguf"
    os.link(private, linked)
    with pytest.raises(Problem, match="another hard link"):
        host.bring(linked)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert not blob(host).exists()


def test_another_name_of_a_third_users_file_is_not_taken_from_that_user(host: Host, reachable: Path) -> None:
    host.make()
    bobs = reachable / "bobs.gguf"
    bobs.write_bytes(MODEL)
    os.chown(bobs, ATTACKER + 1, ATTACKER + 1)
    linked = host.models.parent / "model.gguf"
    os.link(bobs, linked)
    with pytest.raises(Problem, match="file of another user"):
        host.bring(linked)
    assert bobs.stat().st_uid == ATTACKER + 1


def test_a_file_that_its_owner_still_has_open_for_writing_is_refused(host: Host, as_user: AsUser) -> None:
    host.make()
    file = theirs(host)
    writer = as_user("import sys, time; f = open(sys.argv[1], 'r+b'); print('open', flush=True); time.sleep(60)", file)
    assert writer.stdout is not None and writer.stdout.readline() == "open\n"
    with pytest.raises(Problem, match="open for writing"):
        host.bring(file)
    assert not blob(host).exists()


def test_bytes_that_others_could_write_are_read_again_whatever_the_ledger_says(host: Host) -> None:
    host.make()
    file = theirs(host)
    host.ledger.record(str(file), sha256="0" * 64, kind="file")
    host.bring(file)
    assert blob(host).exists()
    assert (file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) == (0, 0o444)


def test_a_pipe_in_the_place_of_the_file_ends_at_once(host: Host) -> None:
    host.make()
    pipe = host.models.parent / "model.gguf"
    os.mkfifo(pipe)
    give(pipe)
    with pytest.raises(Problem, match="pipe"):
        host.bring(pipe)


# --- rubbish


def directory(path: Path) -> None:
    path.mkdir()
    (path / "x").write_bytes(b"x")


KINDS = {
    "directory": directory,
    "pipe": os.mkfifo,
    "socket": lambda path: os.mknod(path, stat.S_IFSOCK | 0o644),
    "file": lambda path: path.write_bytes(b"no"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["blob", "manifest", "registry", "leftover"])
def test_no_entry_of_any_kind_keeps_a_model_out(host: Host, model: Path, place: str, kind: str) -> None:
    host.make()
    path = {
        "blob": blob(host),
        "manifest": host.manifests / "registry.ollama.ai" / "library" / "model" / "latest",
        "registry": host.manifests / "registry.ollama.ai",
        "leftover": host.models / ".gguf-fleet-0123456789abcdef",
    }[place]
    path.parent.mkdir(parents=True, exist_ok=True)
    KINDS[kind](path)
    give(host.models)
    host.bring(model)
    assert blob(host).read_bytes() == MODEL
    assert host.bring(model).plan.actions == ()


def test_rubbish_among_the_manifests_is_a_warning_each(host: Host, model: Path) -> None:
    host.make()
    library = host.manifests / "registry.ollama.ai" / "library"
    for name in ("large", "nested", "pipe", "linked", "-odd", "a\x1bb\u2028c", "digits"):
        (library / name).mkdir(parents=True)
    (library / "large" / "latest").write_bytes(b" " * (5 * 2**20))
    (library / "nested" / "latest").write_bytes(b"[" * 100_000)
    os.mkfifo(library / "pipe" / "latest")
    (library / "linked" / "latest").symlink_to("/etc/shadow")
    (library / "-odd" / "latest").write_bytes(b"{}")
    (library / "a\x1bb\u2028c" / "latest").write_bytes(b"{}")
    (library / "digits" / "latest").write_bytes(b'{"config": ' + b"9" * 1_000_000 + b"}")
    os.mkdir(os.fsencode(library) + b"/\xff")
    (Path(os.fsdecode(os.fsencode(library) + b"/\xff")) / "latest").write_bytes(b"{}")
    give(host.models)
    host.bring(model)
    text = "\n".join(host.warnings)
    assert len([warning for warning in host.warnings if "cannot be read" in warning]) == 8, text
    assert all(character == "\n" or character.isprintable() for character in text)
    text.encode()


def test_a_lock_that_the_stores_user_holds_keeps_nobody_waiting(host: Host, model: Path, as_user: AsUser) -> None:
    host.make()
    give(host.models)
    code = """
import fcntl, os, sys, time
for path in sys.argv[1:]:
    fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""
    holder = as_user(code, host.models, host.blobs)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    host.bring(model)


# --- all at once


def storm(host: Host, model: Path, canary: Canary, as_user: AsUser, limit: float) -> int:
    host.make()
    registry = host.manifests / "registry.ollama.ai"
    registry.mkdir(exist_ok=True)
    names: list[Path] = []
    for number, place in enumerate((host.blobs, host.manifests, registry, host.models)):
        link, folder = host.models.parent / f"link{number}", host.models.parent / f"folder{number}"
        link.symlink_to(canary.path.parent)
        folder.mkdir()
        names += [place, link, place, folder]
    pipe = host.models.parent / "pipe"
    os.mkfifo(pipe)
    names += [registry, pipe]
    give(host.models.parent)
    before = sorted(path.name for path in canary.path.parent.iterdir())
    swap(as_user, *names)
    done = 0
    steps = (host.make, lambda: host.bring(model), host.prune, lambda: host.bring(model), host.uninstall)
    for count in seconds(limit):
        try:
            steps[count % len(steps)]()
            done += 1
        except Problem:
            pass
        canary.check()
    assert sorted(path.name for path in canary.path.parent.iterdir()) == before
    assert canary.path.parent.stat().st_uid == 0
    assert model.read_bytes() == MODEL and model.stat().st_uid == 0
    return done


def test_a_user_who_swaps_names_all_the_time_gains_nothing(
    host: Host, model: Path, canary: Canary, as_user: AsUser
) -> None:
    storm(host, model, canary, as_user, 5)


@pytest.mark.long
def test_a_user_who_swaps_names_for_a_long_time_gains_nothing(
    host: Host, model: Path, canary: Canary, as_user: AsUser
) -> None:
    storm(host, model, canary, as_user, 120)
