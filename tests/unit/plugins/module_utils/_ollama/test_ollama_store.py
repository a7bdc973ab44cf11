# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model in a real store: what a run would do to it, what it does, and what is left when the model goes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Optional

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import Name, parse_name
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import WORKSHOP
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import plan as plans
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.apply import apply, make_present
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.manifest import Settings, digest_of
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.store import Store, StoreProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import NEWEST_TESTED, rules_for
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.weights import Weights, weights_of
from ansible_collections.gguf.fleet.tests.builders import gguf as builders

RULES = rules_for(NEWEST_TESTED)
MODEL = builders.gguf({"general.architecture": ("str", "llama")}, builders.tensors(1))
OTHER = builders.gguf({"general.architecture": ("str", "llama")}, builders.tensors(2))
NAME = parse_name("r1")
SETTINGS = Settings(system="Be brief.", parameters={"num_ctx": 2048})


@dataclass
class Place:
    folder: Path
    ledger: Ledger

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @contextlib.contextmanager
    def store(self) -> Iterator[Store]:
        with Store(str(self.models), locks=str(self.folder / "locks"), lock_seconds=0) as store:
            yield store

    @contextlib.contextmanager
    def weights(self, content: bytes = MODEL) -> Iterator[Weights]:
        path = self.folder / f"{hashlib.sha256(content).hexdigest()[:8]}.gguf"
        if not path.exists():
            path.write_bytes(content)
            path.chmod(0o444)
        with weights_of(str(path), self.ledger, note=True) as weights:
            yield weights

    def plan(self, content: bytes = MODEL, settings: Settings = SETTINGS, name: Name = NAME) -> plans.PresentPlan:
        with self.weights(content) as weights, self.store() as store:
            return plans.plan_present(store, plans.Wanted(name, settings, weights), RULES, self.ledger)

    def make(self, content: bytes = MODEL, settings: Settings = SETTINGS, name: Name = NAME) -> plans.PresentPlan:
        with self.weights(content) as weights, self.store() as store:
            return make_present(store, plans.Wanted(name, settings, weights), RULES, self.ledger).plan

    def derive(self, name: Name, base: Name) -> plans.PresentPlan:
        with self.store() as store:
            wanted = plans.Wanted(name, Settings(system="Be long."), base=base)
            return make_present(store, wanted, RULES, self.ledger).plan

    def remove(self, *names: Name) -> int:
        with self.store() as store:
            return apply(store, plans.plan_absent(store, names, self.ledger).actions, self.ledger)

    def blobs(self) -> List[str]:
        return sorted(path.name for path in self.models.glob("blobs/*"))

    def blob(self, content: bytes) -> Path:
        return self.models / "blobs" / digest_of(content).replace(":", "-")

    def manifest(self, name: Name = NAME) -> Path:
        return self.models.joinpath("manifests", *name.parts)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "models").mkdir()
    return Place(tmp_path, Ledger(str(tmp_path / "ledger.json")))


def kinds(plan: Optional[plans.PresentPlan]) -> List[str]:
    return [action.action for action in plan.actions] if plan else []


def test_a_plan_changes_nothing(place: Place) -> None:
    place.plan()
    assert list(place.models.iterdir()) == []


def test_the_weights_come_first_and_the_manifest_last(place: Place) -> None:
    found = kinds(place.plan())
    assert found[0] == plans.HARD_LINK
    assert found[-1] == plans.WRITE_MANIFEST
    assert set(found[1:-1]) == {plans.WRITE_BLOB}


def test_what_was_planned_is_what_is_made_and_then_nothing_is_left_to_do(place: Place) -> None:
    planned = place.plan()
    made = place.make()
    assert [action.as_dict() for action in made.actions] == [action.as_dict() for action in planned.actions]
    assert kinds(place.plan()) == []


def test_the_file_itself_becomes_the_blob(place: Place) -> None:
    place.make()
    with place.weights() as weights:
        assert os.path.samestat(os.fstat(weights.file), place.blob(MODEL).stat())


def test_every_blob_is_what_its_name_says_and_the_manifest_names_them_all(place: Place) -> None:
    place.make()
    for path in place.models.glob("blobs/*"):
        assert path == place.blob(path.read_bytes())
    manifest = json.loads(place.manifest().read_bytes())
    named = [layer["digest"] for layer in (manifest["config"], *manifest["layers"])]
    assert sorted(digest.replace(":", "-") for digest in named) == place.blobs()


def test_other_settings_leave_the_weights_alone_and_take_the_old_blobs_away(place: Place) -> None:
    place.make()
    before = place.blob(MODEL).stat()
    found = kinds(place.make(settings=Settings(system="Be long.")))
    assert plans.HARD_LINK not in found
    assert found.index(plans.WRITE_MANIFEST) < found.index(plans.REMOVE_BLOB)
    assert os.path.samestat(before, place.blob(MODEL).stat())
    assert not place.blob(b"Be brief.").exists()


def test_another_file_under_the_same_name_takes_the_place_of_the_first(place: Place) -> None:
    place.make()
    place.make(OTHER)
    assert place.blob(OTHER).exists()
    assert not place.blob(MODEL).exists()


def test_a_blob_with_other_bytes_than_its_name_says_is_written_again(place: Place) -> None:
    place.make()
    blob = place.blob(b"Be brief.")
    blob.unlink()
    blob.write_bytes(b"Be rude. ")
    plan = place.plan()
    assert [(action.action, action.reason) for action in plan.actions] == [
        (plans.WRITE_BLOB, "its content is not what its name says")
    ]
    place.make()
    assert blob.read_bytes() == b"Be brief."


def test_a_model_goes_with_all_that_only_it_needs(place: Place) -> None:
    place.make()
    place.make(name=parse_name("second"), settings=Settings(system="Be long."))
    place.remove(NAME)
    assert not place.manifest().exists()
    assert place.blob(MODEL).exists()
    assert place.blob(b"Be long.").exists()
    assert not place.blob(b"Be brief.").exists()
    place.remove(parse_name("second"))
    assert place.blobs() == []
    assert place.ledger.entries(models_dir=str(place.models)) == []


def test_removing_a_model_that_is_not_there_plans_nothing(place: Place) -> None:
    with place.store() as store:
        assert plans.plan_absent(store, [NAME], place.ledger).actions == ()


def test_a_model_made_from_another_shares_its_weights(place: Place) -> None:
    place.make()
    derived = parse_name("long")
    assert plans.HARD_LINK not in kinds(place.derive(derived, NAME))
    assert place.derive(derived, NAME).actions == ()
    place.remove(NAME)
    assert place.blob(MODEL).exists()


@pytest.mark.parametrize(
    ("name", "base", "said"), [("new", "missing", "There is no model"), ("new", "new", "cannot be made from itself")]
)
def test_what_a_model_cannot_be_made_from_is_refused_before_anything_is_written(
    name: str, base: str, said: str, place: Place
) -> None:
    with pytest.raises(StoreProblem, match=said):
        place.derive(parse_name(name), parse_name(base))
    assert list(place.models.iterdir()) == []


def test_only_models_that_nobody_made_anew_are_ours(place: Place) -> None:
    place.make()
    place.make(name=parse_name("second"))
    other = place.manifest(parse_name("second"))
    content = other.read_bytes()
    other.unlink()
    other.write_bytes(content.replace(b"application", b"Application"))
    with place.store() as store:
        assert plans.ours(store, place.ledger) == [NAME]


def test_a_manifest_that_cannot_be_read_keeps_every_blob(place: Place) -> None:
    place.make()
    broken = place.manifest(parse_name("broken"))
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"{")
    with place.store() as store:
        plan = plans.plan_absent(store, [NAME], place.ledger)
    assert [action.action for action in plan.actions] == [plans.REMOVE_MANIFEST]
    assert any(str(broken) in warning for warning in plan.warnings)


def test_what_a_killed_run_left_is_taken_away_by_the_next(place: Place) -> None:
    room = place.models / f"{WORKSHOP}killed"
    room.mkdir(parents=True, mode=0o700)
    (room / "file").write_bytes(b"half a blob")
    with place.store() as store:
        assert store.leftovers() == [room.name]
    place.make()
    assert sorted(path.name for path in place.models.iterdir()) == ["blobs", "manifests"]


def test_a_store_that_another_run_changes_is_left_alone(place: Place) -> None:
    with place.store(), pytest.raises(StoreProblem, match="Another run"), place.store():
        pass


def test_a_store_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreProblem, match="no models directory"), Store(str(tmp_path / "no")):
        pass
