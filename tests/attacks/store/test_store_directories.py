# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service user puts links where root makes and gives away directories, and where it removes them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import yaml

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.tests.attacks.conftest import ATTACKER, AsUser, Canary
from ansible_collections.gguf.fleet.tests.attacks.store.conftest import Host, give, seconds, swap

ROLE = Path(__file__).resolve().parents[3] / "roles" / "ollama" / "tasks"


def owned_by_root(folder: Path) -> bool:
    status = folder.stat()
    return (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o755)


@pytest.mark.parametrize("trap", ["models", "models/blobs", "models/manifests"])
def test_a_link_in_the_place_of_a_directory_gives_nothing_away(host: Host, canary: Canary, trap: str) -> None:
    place = host.models.parent / trap
    give(host.models.parent)
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(canary.path.parent)
    give(host.models.parent)
    with pytest.raises(Problem, match="is a link"):
        host.make()
    assert owned_by_root(canary.path.parent)
    canary.check()


def test_a_directory_that_becomes_a_link_at_any_moment_gives_nothing_away(
    host: Host, canary: Canary, as_user: AsUser
) -> None:
    host.make()
    for name in ("blobs", "manifests"):
        (host.models / f"{name}.link").symlink_to(canary.path.parent)
    (host.models.parent / "models.link").symlink_to(canary.path.parent)
    give(host.models.parent)
    names = [host.models, host.models.parent / "models.link"]
    for name in ("blobs", "manifests"):
        names += [host.models / name, host.models / f"{name}.link"]
    swap(as_user, *names)
    for _attempt in seconds(2):
        try:
            host.make()
        except Problem:
            pass
    assert owned_by_root(canary.path.parent)
    canary.check()


def test_a_closed_directory_of_root_that_was_renamed_into_the_store_stays_roots(host: Host, as_user: AsUser) -> None:
    host.make()
    secret = host.models / "backup-of-root"
    secret.mkdir(mode=0o700)
    (secret / "key").write_bytes(b"secret")
    rename = f"import os; os.rmdir({str(host.blobs)!r}); os.rename({str(secret)!r}, {str(host.blobs)!r})"
    assert as_user(rename).wait(20) == 0
    with pytest.raises(Problem, match="closed to others"):
        host.make()
    assert host.blobs.stat().st_uid == 0


def test_a_link_that_only_root_could_make_is_followed(host: Host, reachable: Path) -> None:
    (reachable / "disk").mkdir(mode=0o755)
    (reachable / "link").symlink_to(reachable / "disk")
    made = Host(reachable / "link" / "models", host.ledger).make()
    assert [action["action"] for action in made.actions] == ["make"] * 3
    assert (reachable / "disk" / "models" / "blobs").stat().st_uid == ATTACKER


def test_the_directories_are_made_once_and_given_to_the_service_again_when_somebody_took_them(host: Host) -> None:
    assert [action["action"] for action in host.make().actions] == ["make"] * 3
    assert host.make().actions == ()
    os.chown(host.manifests, 0, 0)
    host.blobs.chmod(0o500)
    assert sorted(action["path"] for action in host.make().actions) == [str(host.blobs), str(host.manifests)]
    assert host.make().actions == ()


def test_a_store_that_root_left_closed_in_a_directory_of_roots_is_given_to_the_service(
    host: Host, reachable: Path
) -> None:
    models = reachable / "data" / "models"
    for name in ("blobs", "manifests"):
        (models / name).mkdir(parents=True)
    for folder in (models, models / "blobs", models / "manifests"):
        folder.chmod(0o700)
    assert {action["action"] for action in Host(models, host.ledger).make().actions} == {"hand_over"}
    assert {folder.stat().st_uid for folder in (models, *models.iterdir())} == {ATTACKER}


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_the_directories_have_their_modes_under_every_umask(host: Host, mask: int) -> None:
    before = os.umask(mask)
    try:
        host.make()
    finally:
        os.umask(before)
    for folder in (host.models, host.blobs, host.manifests):
        assert (stat.S_IMODE(folder.stat().st_mode), folder.stat().st_uid) == (0o755, ATTACKER)


def test_no_task_of_the_role_touches_the_store_by_its_path() -> None:
    for file in ROLE.glob("*.yml"):
        for task in yaml.safe_load(file.read_text()):
            for part in [task, *task.get("block", [])]:
                touched = [
                    name for name in part if name.startswith("ansible.builtin.") and name != "ansible.builtin.set_fact"
                ]
                assert not any("_ollama_store" in str(part[name]) for name in touched), f"{file.name}: {part['name']}"


# --- uninstalling


def test_a_link_in_the_place_of_a_directory_empties_nothing_else(host: Host, canary: Canary) -> None:
    host.make()
    blob = canary.path.parent / ("sha256-" + "a" * 64)
    blob.write_bytes(b"of somebody else")
    host.blobs.rmdir()
    host.blobs.symlink_to(canary.path.parent)
    give(host.models)
    with pytest.raises(Problem):
        host.uninstall()
    assert blob.exists()
    canary.check()


def test_of_a_store_of_somebody_only_what_we_made_goes_and_the_rest_is_named(host: Host, model: Path) -> None:
    host.models.mkdir(mode=0o755)
    (host.models / "notes.txt").write_text("of alice")
    theirs = host.manifests / "registry.ollama.ai" / "library" / "theirs" / "latest"
    theirs.parent.mkdir(parents=True)
    digest = "sha256:" + "b" * 64
    layer = '{"mediaType": "application/vnd.ollama.image.model", "digest": "%s", "size": 4}' % digest
    theirs.write_text('{"schemaVersion": 2, "config": %s, "layers": [%s]}' % (layer, layer))
    host.blobs.mkdir()
    (host.blobs / digest.replace(":", "-")).write_bytes(b"blob")
    give(host.models)
    host.make()
    host.bring(model)
    gone = host.uninstall()
    assert sorted(found.name for found in host.models.rglob("*") if found.is_file()) == [
        "latest", "notes.txt", digest.replace(":", "-"),
    ]  # fmt: skip
    assert str(host.models / "notes.txt") in gone.kept
    assert not any("theirs" in str(action["path"]) for action in gone.actions)
    assert model.exists()


def test_of_a_store_that_we_made_all_that_is_a_stores_goes_and_the_rest_is_named(host: Host, model: Path) -> None:
    host.make()
    host.bring(model)
    pulled = host.blobs / ("sha256-" + "c" * 64)
    pulled.write_bytes(b"pulled by the server")
    notes = host.models / "notes.txt"
    notes.write_text("of alice")
    give(host.models)
    assert host.uninstall().kept == (str(notes),)
    assert list(host.models.iterdir()) == [notes]
    notes.unlink()
    host.uninstall()
    assert not host.models.exists() and model.exists()
    assert host.ledger.entries("store") == []
