# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong while a model is given to a server: nothing is left half done, and the next run heals it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem, Unreachable
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import model_run as run
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.store import LOCK, Store, StoreProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.systemd import waiting
from ansible_collections.gguf.fleet.tests.builders import gguf as builders
from ansible_collections.gguf.fleet.tests.conformance.ollama.contract_server import (
    SERVICE_USER,
    Release,
    Server,
    digest_of_file,
    new_server,
    open_folder,
)

# Every so many a step is killed at; `make test-long` takes all of them.
FEW_OR_ALL = pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.long)], ids=["some", "all"])
# What an import does to the file system, through the module os.
STEPS = ("link", "symlink", "rename", "replace", "unlink", "rmdir", "mkdir", "fsync", "fchmod", "fchown")

FIRST: dict[str, Any] = {
    "system": "first",
    "parameters": {"num_ctx": 64},
    "template": "{{ .Prompt }}",
    "license": ["MIT"],
}
SECOND: dict[str, Any] = {"system": "second", "parameters": {"seed": 1}, "template": "{{ .System }} {{ .Prompt }}"}

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount, and give files to another user")


def request(server: Server, name: str, **wanted: Any) -> run.Request:
    models_dir = wanted.pop("models_dir", str(server.models))
    return run.Request(host=server.url, models_dir=models_dir, check=wanted.pop("check", False), name=name, **wanted)


def kinds(result: run.Result) -> list[str]:
    return [action["action"] for action in result.actions]


def assert_consistent(server: Server) -> None:
    """Every manifest is whole, every blob that it names is there and what its name says, and the server shows it."""
    for path in server.models.glob("manifests/*/*/*/*"):
        manifest = json.loads(path.read_bytes())
        for layer in (manifest["config"], *manifest["layers"]):
            data = server.blob(layer["digest"])
            assert f"sha256:{hashlib.sha256(data).hexdigest()}" == layer["digest"]
    for name in server.names():
        assert server.call("POST", "/api/show", {"model": name}).status == 200


def assert_tidy(server: Server, models: Path | None = None) -> None:
    """Nothing in the store but what a manifest names, and no file of ours beside it."""
    models = models or server.models
    named = set()
    for path in models.glob("manifests/*/*/*/*"):
        manifest = json.loads(path.read_bytes())
        named |= {layer["digest"].replace(":", "-") for layer in (manifest["config"], *manifest["layers"])}
    assert {path.name for path in (models / "blobs").iterdir()} == named
    assert sorted(path.name for path in models.iterdir()) == ["blobs", "manifests"]


# --- killed


def forked(work: Callable[[], object]) -> int:
    """Run in a process of its own, whose number is returned."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            work()
            os._exit(0)
        os._exit(1)
    return child


def in_child(work: Callable[[], object]) -> int:
    """Run in a process of its own; its wait status."""
    return os.waitpid(forked(work), 0)[1]


class Steps:
    """Counts what a process does to the file system, and ends it by SIGKILL when its time has come."""

    def __init__(self, limit: int | None = None) -> None:
        self.done = 0
        self._limit = limit

    def watch(self) -> None:
        for name in STEPS:
            setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if self.done == self._limit:
                os.kill(os.getpid(), signal.SIGKILL)
            self.done += 1
            return original(*arguments, **options)

        return call


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """The work in a process of its own that is killed at that step; false when it ended before."""

    def do() -> None:
        Steps(step).watch()
        work()

    return os.WIFSIGNALED(in_child(do))


def steps_of(work: Callable[[], object]) -> int:
    """How many steps the work takes, done in a process of its own."""
    reading, writing = os.pipe()

    def do() -> None:
        steps = Steps()
        steps.watch()
        work()
        os.write(writing, b"%d" % steps.done)

    assert in_child(do) == 0
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return int(pipe.read())


@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=pytest.mark.long)])
def test_an_import_killed_at_random_points_leaves_a_whole_store_that_the_next_run_completes(
    server: Server, small_model: Path, ledger: Ledger, kills: int
) -> None:
    other = small_model.with_name("other.gguf")
    other.write_bytes(builders.gguf({**builders.MODEL_KV, "general.name": ("str", "other")}, builders.tensors(2)))
    digests = {path: digest_of_file(path) for path in (small_model, other)}
    before = request(server, "edited", file=str(small_model), **FIRST)
    after = request(server, "edited", file=str(other), **SECOND)
    # A model that is there changes its file and all its settings, and one that was removed comes back.
    starts = (lambda: run.present(before, ledger), lambda: run.absent(before, ledger))
    totals = []
    # The first run takes more steps: it hashes the file.
    run.present(after, ledger)
    for start in starts:
        start()
        totals.append(steps_of(lambda: run.present(after, ledger)))
    chance = random.Random(2026)
    for number in range(kills):
        starts[number % 2]()
        assert killed_at(chance.randrange(totals[number % 2]), lambda: run.present(after, ledger))
        assert_consistent(server)
        run.present(after, ledger)
        assert run.present(after, ledger).actions == ()
        assert_consistent(server)
        assert_tidy(server)
        shown = server.call("POST", "/api/show", {"model": "edited"}).last
        assert (shown["system"], shown["parameters"].split()) == ("second", ["seed", "1"])
    assert {path: digest_of_file(path) for path in digests} == digests
    run.absent(after, ledger)


@FEW_OR_ALL
def test_a_removal_killed_at_any_point_is_completed_by_the_next_run(
    server: Server, small_model: Path, ledger: Ledger, stride: int
) -> None:
    gone = request(server, "goes")
    wanted = request(server, "goes", file=str(small_model), **FIRST)
    run.present(wanted, ledger)
    for step in range(0, steps_of(lambda: run.absent(gone, ledger)), stride):
        run.present(wanted, ledger)
        assert killed_at(step, lambda: run.absent(gone, ledger))
        assert_consistent(server)
        run.absent(gone, ledger)
        assert "goes:latest" not in server.names()
        assert run.absent(gone, ledger).actions == ()
        assert_tidy(server)


@FEW_OR_ALL
def test_a_server_that_starts_after_a_killed_import_prunes_nothing_that_is_lost_then(
    own_server: Server, small_model: Path, ledger: Ledger, stride: int
) -> None:
    server, sum_before = own_server, digest_of_file(small_model)
    server.start()
    run.present(request(server, "kept", file=str(small_model), **FIRST), ledger)
    wanted = request(server, "killed", file=str(small_model), **SECOND)
    for step in range(0, steps_of(lambda: run.present(wanted, ledger)), stride):
        run.absent(wanted, ledger)
        assert killed_at(step, lambda: run.present(wanted, ledger))
        server.stop()
        for path in server.blobs.iterdir():
            # From 0.21 on the prune spares what is younger than an hour.
            os.utime(path, (1, 1), follow_symlinks=False)
        server.start()
        assert "kept:latest" in server.names()
        assert_consistent(server)
        assert digest_of_file(small_model) == sum_before
        run.present(wanted, ledger)
        assert server.names() == ["kept:latest", "killed:latest"]
        assert_consistent(server)


# --- file systems


@contextlib.contextmanager
def file_system(size: str) -> Iterator[Path]:
    """A small file system of the test's own."""
    with open_folder("mount") as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if mounted.returncode != 0:
            pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def elsewhere(release: Release) -> Iterator[Server]:
    """A server whose models directory is on a file system of one MiB."""
    with file_system("1m") as folder:
        models = folder / "models"
        models.mkdir()
        os.chown(models, SERVICE_USER, SERVICE_USER)
        with new_server(release) as server:
            subprocess.run(["mount", "--bind", str(models), str(server.models)], check=True)
            try:
                server.start()
                yield server
            finally:
                server.stop()
                subprocess.run(["umount", "--lazy", str(server.models)], check=True)


@needs_root
def test_a_file_on_another_file_system_becomes_a_symbolic_link(
    elsewhere: Server, small_model: Path, ledger: Ledger
) -> None:
    made = run.present(request(elsewhere, "linked", file=str(small_model), **FIRST), ledger)
    assert kinds(made)[0] == "symbolic_link"
    assert "another file system" in made.actions[0]["reason"]
    assert any("a symbolic link to" in warning and str(small_model) in warning for warning in made.warnings)
    assert run.present(request(elsewhere, "linked", file=str(small_model), **FIRST), ledger).actions == ()
    assert_consistent(elsewhere)
    gone = run.absent(request(elsewhere, "linked"), ledger)
    assert gone.freed_bytes < 2**20
    assert small_model.exists()


@needs_root
def test_a_file_that_the_server_could_not_reach_is_copied_when_there_is_room_and_refused_when_not(
    elsewhere: Server, small_model: Path, ledger: Ledger
) -> None:
    small_model.parent.chmod(0o700)
    planned = run.present(request(elsewhere, "copied", file=str(small_model), check=True), ledger)
    assert kinds(planned)[0] == "copy"
    assert str(small_model.parent) in planned.actions[0]["reason"]
    assert any(f"a copy of {small_model}" in warning for warning in planned.warnings)
    run.present(request(elsewhere, "copied", file=str(small_model)), ledger)
    assert run.present(request(elsewhere, "copied", file=str(small_model)), ledger).actions == ()
    assert_consistent(elsewhere)
    with small_model.open("ab") as file:
        file.write(bytes(2 * 2**20))
    with pytest.raises(StoreProblem, match="a copy needs") as caught:
        run.present(request(elsewhere, "copied", file=str(small_model)), ledger)
    assert "chmod o+x" in caught.value.remedy


@needs_root
def test_a_full_models_directory_is_reported_and_the_import_succeeds_once_there_is_room(
    elsewhere: Server, small_model: Path, ledger: Ledger
) -> None:
    run.present(request(elsewhere, "before", file=str(small_model), **FIRST), ledger)
    filler = elsewhere.models / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    wanted = request(elsewhere, "after", file=str(small_model), system="x" * 9000)
    with pytest.raises(StoreProblem, match="No space left") as caught:
        run.present(wanted, ledger)
    assert "Make room" in caught.value.remedy
    assert elsewhere.names() == ["before:latest"]
    assert_consistent(elsewhere)
    filler.unlink()
    run.present(wanted, ledger)
    assert elsewhere.names() == ["after:latest", "before:latest"]
    assert_tidy(elsewhere)


@needs_root
def test_a_models_directory_that_is_read_only_is_reported_and_check_mode_still_plans(
    elsewhere: Server, small_model: Path, ledger: Ledger
) -> None:
    mount = str(elsewhere.models)
    subprocess.run(["mount", "-o", "remount,bind,ro", mount], check=True)
    wanted = request(elsewhere, "m", file=str(small_model))
    assert kinds(run.present(replace(wanted, check=True), ledger))[-1] == "write_manifest"
    with pytest.raises(StoreProblem, match="Read-only file system") as caught:
        run.present(wanted, ledger)
    assert "Mount that file system for writing" in caught.value.remedy
    subprocess.run(["mount", "-o", "remount,bind,rw", mount], check=True)
    run.present(wanted, ledger)
    assert elsewhere.names() == ["m:latest"]


# --- owners and links


@needs_root
def test_directories_of_the_wrong_owner_are_handed_to_the_server(
    server: Server, small_model: Path, ledger: Ledger
) -> None:
    run.present(request(server, "owned", file=str(small_model), **FIRST), ledger)
    for path in (server.blobs, server.manifest_path("owned").parent):
        os.chown(path, 0, 0)
    healed = run.present(request(server, "owned", file=str(small_model), **FIRST), ledger)
    assert set(kinds(healed)) == {"take_over"}
    assert server.call("DELETE", "/api/delete", {"model": "owned"}).status == 200


@needs_root
def test_a_file_that_others_could_change_becomes_roots_and_read_only(
    server: Server, small_model: Path, ledger: Ledger
) -> None:
    os.chown(small_model, SERVICE_USER, SERVICE_USER)
    small_model.chmod(0o664)
    made = run.present(request(server, "guarded", file=str(small_model)), ledger)
    assert kinds(made)[0] == "protect"
    status = small_model.stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o444)
    run.absent(request(server, "guarded"), ledger)


@pytest.mark.parametrize("trap", ["blobs", "manifests", "manifests/registry.ollama.ai/library"])
def test_a_link_in_the_place_of_a_directory_is_not_followed(
    own_server: Server, small_model: Path, ledger: Ledger, trap: str
) -> None:
    own_server.start()
    target = own_server.home / "elsewhere"
    target.mkdir()
    place = own_server.models / trap
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    with pytest.raises(StoreProblem, match="is a link or a file, not a directory"):
        run.present(request(own_server, "trapped", file=str(small_model)), ledger)
    assert list(target.iterdir()) == []


# --- other models


def test_a_corrupt_manifest_of_another_model_is_named_and_nothing_is_removed_meanwhile(
    own_server: Server, small_model: Path, ledger: Ledger
) -> None:
    server = own_server
    server.start()
    run.present(request(server, "mine", file=str(small_model), **FIRST), ledger)
    broken = server.manifest_path("broken")
    broken.parent.mkdir(parents=True)
    broken.write_text('{"config": ', encoding="utf-8")
    edited = run.present(request(server, "mine", file=str(small_model), **SECOND), ledger)
    assert set(kinds(edited)) == {"write_blob", "write_manifest"}
    assert any(str(broken) in warning for warning in edited.warnings)
    assert_consistent_but(server, "broken")
    # The broken one itself can be removed by its name, and then all that is left over goes.
    gone = run.absent(request(server, "broken"), ledger)
    assert "remove_manifest" in kinds(gone)
    assert_tidy(server)


def assert_consistent_but(server: Server, broken: str) -> None:
    names = [name for name in server.names() if not name.startswith(broken)]
    assert names
    for name in names:
        assert server.call("POST", "/api/show", {"model": name}).status == 200


@pytest.mark.parametrize("content", ["", "[]", "null", '{"config": {}, "layers": []}', '{"layers": 1}'])
def test_whatever_a_manifest_holds_it_is_reported_and_not_raised(
    own_server: Server, small_model: Path, ledger: Ledger, content: str
) -> None:
    own_server.start()
    broken = own_server.manifest_path("broken")
    broken.parent.mkdir(parents=True)
    broken.write_text(content, encoding="utf-8")
    made = run.present(request(own_server, "mine", file=str(small_model)), ledger)
    assert any(str(broken) in warning for warning in made.warnings)


def test_another_copy_of_the_same_file_in_the_store_makes_room_for_the_link(
    server: Server, small_model: Path, ledger: Ledger
) -> None:
    digest = digest_of_file(small_model)
    copy = server.blobs / digest.replace(":", "-")
    copy.write_bytes(small_model.read_bytes())
    made = run.present(request(server, "dedup", file=str(small_model)), ledger)
    assert kinds(made)[0] == "hard_link"
    assert "makes room" in made.actions[0]["reason"]
    assert copy.stat().st_ino == small_model.stat().st_ino


def test_a_small_blob_with_the_wrong_content_is_written_again(
    server: Server, small_model: Path, ledger: Ledger
) -> None:
    run.present(request(server, "mended", file=str(small_model), **FIRST), ledger)
    blob = server.blobs / f"sha256-{hashlib.sha256(b'first').hexdigest()}"
    blob.write_bytes(b"wrong")
    mended = run.present(request(server, "mended", file=str(small_model), **FIRST), ledger)
    assert kinds(mended) == ["write_blob"]
    assert blob.read_bytes() == b"first"


# --- servers


def test_without_a_server_nothing_is_changed_check_mode_plans_and_removal_works(
    own_server: Server, small_model: Path, ledger: Ledger
) -> None:
    wanted = request(own_server, "m", file=str(small_model), **FIRST)
    with pytest.raises(Unreachable, match="nothing listens on port"):
        run.present(wanted, ledger)
    assert list(own_server.models.iterdir()) == []
    planned = run.present(replace(wanted, check=True, version="0.5.7"), ledger)
    assert kinds(planned)[-1] == "write_manifest"
    assert any("0.5.7" in warning for warning in planned.warnings)
    own_server.start()
    run.present(wanted, ledger)
    own_server.stop()
    assert "remove_manifest" in kinds(run.pruned(request(own_server, ""), ledger))
    assert_tidy(own_server)


def test_before_the_first_converge_check_mode_says_that_the_model_would_come(
    own_server: Server, ledger: Ledger
) -> None:
    own_server.models.rmdir()
    missing = request(own_server, "m", file="/srv/gguf-fleet/models/not-there-yet.gguf", check=True)
    assert kinds(run.present(missing, ledger)) == ["import"]
    with pytest.raises(EngineProblem):
        run.present(replace(missing, check=False), ledger)
    assert run.pruned(request(own_server, "", check=True), ledger).actions == ()


def test_a_server_that_uses_another_models_directory_is_found_out(
    own_server: Server, small_model: Path, ledger: Ledger
) -> None:
    own_server.start()
    with open_folder("models") as wrong:
        with pytest.raises(StoreProblem, match="does not list it") as caught:
            run.present(request(own_server, "m", file=str(small_model), models_dir=str(wrong)), ledger)
        assert "OLLAMA_MODELS" in caught.value.remedy


def test_what_a_starting_server_prunes_meanwhile_is_made_again(
    server: Server, small_model: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = f"sha256:{hashlib.sha256(b'first').hexdigest()}"
    write_manifest = Store.write_manifest
    pruned: list[str] = []

    def prune_first(store: Store, name: Any, data: bytes) -> None:
        if not pruned:
            pruned.append(digest)
            Path(store.blob_path(digest)).unlink()
        write_manifest(store, name, data)

    monkeypatch.setattr(Store, "write_manifest", prune_first)
    run.present(request(server, "raced", file=str(small_model), **FIRST), ledger)
    assert pruned
    assert_consistent(server)


def test_a_server_that_restarts_in_the_middle_of_an_import_starts_after_it_and_prunes_nothing_of_it(
    own_server: Server, small_model: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start waits as the unit of the service does, by the unit's own command."""
    own_server.start()
    happened: list[str] = []

    def start_as_a_service() -> None:
        subprocess.run(waiting(f"{ledger.directory}/{LOCK}"), check=True)
        happened.append("start")
        own_server.start()

    starting = threading.Thread(target=start_as_a_service)
    write_manifest = Store.write_manifest

    def crash_first(store: Store, name: Any, data: bytes) -> None:
        # All blobs are there, and nothing names them yet.
        own_server.stop()
        starting.start()
        starting.join(timeout=1)
        write_manifest(store, name, data)
        happened.append("manifest")

    monkeypatch.setattr(Store, "write_manifest", crash_first)
    result = run.present(request(own_server, "restarted", file=str(small_model), **FIRST), ledger)
    starting.join()
    assert happened == ["manifest", "start"]
    assert kinds(result).count("write_manifest") == 1
    assert "restarted:latest" in own_server.names()
    assert_consistent(own_server)


def test_an_import_that_comes_in_the_middle_of_a_start_waits_for_the_server_and_lets_it_have_the_lock(
    own_server: Server, small_model: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_server.start()
    version = Ollama.version
    asked: list[str] = []

    def start_a_little_later() -> None:
        time.sleep(0.5)
        subprocess.run(waiting(f"{ledger.directory}/{LOCK}"), check=True)
        own_server.start()

    starting = threading.Thread(target=start_a_little_later)

    def restarts_after_the_first_question(client: Ollama) -> str:
        told = version(client)
        asked.append(told)
        if len(asked) == 1:
            own_server.stop()
            starting.start()
        return told

    monkeypatch.setattr(Ollama, "version", restarts_after_the_first_question)
    run.present(request(own_server, "patient", file=str(small_model), **FIRST), ledger)
    starting.join()
    assert len(asked) > 1 and "patient:latest" in own_server.names()
    assert_consistent(own_server)


# --- two runs


def test_two_runs_at_once_both_succeed(server: Server, small_model: Path, ledger: Ledger) -> None:
    children = []
    for name in ("one", "two", "three"):
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                run.present(request(server, name, file=str(small_model), **{**FIRST, "system": name}), ledger)
                os._exit(0)
            os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert {"one:latest", "two:latest", "three:latest"} <= set(server.names())
    assert_consistent(server)
    for name in ("one", "two", "three"):
        assert (
            run.present(request(server, name, file=str(small_model), **{**FIRST, "system": name}), ledger).actions == ()
        )


def test_a_run_that_has_to_wait_too_long_for_another_says_so(server: Server, ledger: Ledger) -> None:
    models, locks = str(server.models), ledger.directory
    with Store(models, locks=locks):
        began = time.monotonic()
        with pytest.raises(StoreProblem, match="Another run"), Store(models, locks=locks, lock_seconds=0.3):
            pass
        assert time.monotonic() - began < 5


# --- files


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "small.gguf"),
        (b"GGUF", "small.gguf"),
        (b"no model at all", "small.gguf"),
        (builders.split_set([builders.tensors(1), builders.tensors(2, prefix="x")])[0], "one of 2 shards"),
        (builders.gguf({**builders.MODEL_KV, "general.type": ("str", "adapter")}, builders.tensors(1)), "is a adapter"),
    ],
    ids=["empty", "truncated", "foreign", "shard", "adapter"],
)
def test_a_file_that_is_no_whole_model_is_refused_before_anything_changes(
    own_server: Server, small_model: Path, ledger: Ledger, content: bytes, said: str
) -> None:
    own_server.start()
    small_model.write_bytes(content)
    with pytest.raises(ValueError, match=said):
        run.present(request(own_server, "m", file=str(small_model)), ledger)
    assert not list(own_server.models.glob("manifests/*/*/*/*"))
    assert not list(own_server.blobs.iterdir())
