# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Carry out a plan on a store, and note in the ledger what was made."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from typing import Callable, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import Name
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_file
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import plan as plans
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.manifest import MODEL, digest_of
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.store import Store, StoreProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import Rules
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.weights import Weights

# A server that starts meanwhile prunes what no manifest names yet; then the missing parts are made again.
_ROUNDS = 3

Switch = Callable[[Name], None]


@dataclass(frozen=True)
class Made:
    """The plan that was carried out, and the bytes that this freed."""

    plan: plans.PresentPlan
    freed_bytes: int


def make_present(
    store: Store, wanted: plans.Wanted, rules: Rules, ledger: Ledger, before_switch: Switch = lambda name: None
) -> Made:
    """Make the model be as wanted, and look again whether it is. before_switch: see `apply`."""
    store.remove_leftovers()
    first = plan = plans.plan_present(store, wanted, rules, ledger)
    freed = rounds = 0
    while plan.actions and rounds < _ROUNDS:
        freed += apply(store, plan.actions, ledger, wanted.weights, before_switch)
        if wanted.weights is not None:
            wanted = replace(wanted, weights=replace(wanted.weights, protected=False))
        plan = plans.plan_present(store, wanted, rules, ledger)
        rounds += 1
    if plan.actions:
        raise StoreProblem(
            f"Something else keeps changing {store.path}: {wanted.name} is not complete after {_ROUNDS} attempts.",
            "Check whether Ollama restarts all the time, or whether another tool writes there.",
        )
    _note_all(store, plan, ledger)
    return Made(first, freed)


def _weights_file(weights: Optional[Weights]) -> int:
    if weights is None:
        raise AssertionError("the plan uses a file that it has not")
    return weights.file


def apply(
    store: Store,
    actions: Sequence[plans.Action],
    ledger: Ledger,
    weights: Optional[Weights] = None,
    before_switch: Switch = lambda name: None,
) -> int:
    """Do all that, in this order; the bytes that it freed.

    before_switch: called with the name before its manifest is written.
    """
    store.remove_leftovers()
    freed = 0
    for action in actions:
        if action.action == plans.WRITE_MANIFEST and action.name is not None:
            before_switch(action.name)
        freed += _do(store, action, ledger, weights)
    for entry in ledger.entries(models_dir=store.path):
        if not os.path.lexists(entry.path):
            ledger.forget(entry.path)
    return freed


def _do(store: Store, action: plans.Action, ledger: Ledger, weights: Optional[Weights]) -> int:
    if action.action == plans.TAKE_OVER:
        store.take_over(action.path)
    elif action.action == plans.HARD_LINK:
        _note_blob(store, action.digest, ledger, store.hard_link(_weights_file(weights), action.digest))
    elif action.action == plans.SYMBOLIC_LINK:
        _note_blob(store, action.digest, ledger, store.symbolic_link(action.source, action.digest))
    elif action.action == plans.COPY:
        _note_blob(store, action.digest, ledger, store.copy(_weights_file(weights), action.digest))
    elif action.action == plans.WRITE_BLOB:
        _note_blob(store, action.digest, ledger, store.write_blob(action.data, action.digest))
    elif action.action == plans.WRITE_MANIFEST and action.name is not None:
        made = store.write_manifest(action.name, action.data)
        _note_manifest(store, action.name, digest_of(action.data), ledger, made)
    elif action.action == plans.REMOVE_MANIFEST and action.name is not None:
        return store.remove_manifest(action.name)
    elif action.action == plans.REMOVE_BLOB:
        return store.remove_blob(action.digest)
    elif action.action == plans.REMOVE_FILE:
        return remove_file_of(action.path, ledger)
    # PROTECT was done before the file was read.
    return 0


def remove_file_of(path: str, ledger: Ledger) -> int:
    """A model's file outside of the store; a blob that is the same file holds its bytes until it goes, too."""
    try:
        status = os.stat(path, follow_symlinks=False)
        remove_file(path)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StoreProblem(
            f"{path} cannot be removed: {error.strerror or error}.", "Remove it by hand, or name it in keep_files."
        ) from error
    ledger.forget(path)
    return status.st_blocks * 512 if status.st_nlink == 1 else 0


def _note_all(store: Store, plan: plans.PresentPlan, ledger: Ledger) -> None:
    """What a killed run made without noting it, or what somebody else made just as it shall be."""
    manifest = plan.composition.manifest
    weights = manifest.layer(MODEL)
    for digest in (*plan.composition.blobs, *([weights.digest] if weights and plan.from_file else [])):
        status = store.blob_status(digest)
        if (
            status is not None
            and ledger.lookup(store.blob_path(digest), status=_of_target(store, digest, status)) is None
        ):
            _note_blob(store, digest, ledger, status)
    path, digest = store.manifest_path(plan.name), digest_of(manifest.encode())
    status = store.manifest_status(plan.name)
    entry = ledger.lookup(path, kind="manifest", status=status)
    if status is not None and (entry is None or f"sha256:{entry.sha256}" != digest):
        _note_manifest(store, plan.name, digest, ledger, status)


def _of_target(store: Store, digest: str, status: os.stat_result) -> Optional[os.stat_result]:
    """An entry of a symbolic link speaks of the file that it leads to."""
    return store.blob_target(digest) if stat.S_ISLNK(status.st_mode) else status


def _note_blob(store: Store, digest: str, ledger: Ledger, made: os.stat_result) -> None:
    linked = stat.S_ISLNK(made.st_mode) or made.st_nlink > 1
    ledger.record(
        store.blob_path(digest),
        sha256=_hex(digest),
        kind="link" if linked else "blob",
        status=_of_target(store, digest, made),
        models_dir=store.path,
    )


def _note_manifest(store: Store, name: Name, digest: str, ledger: Ledger, made: os.stat_result) -> None:
    path = store.manifest_path(name)
    ledger.record(path, sha256=_hex(digest), kind="manifest", status=made, models_dir=store.path, model=str(name))


def _hex(digest: str) -> str:
    return digest.partition(":")[2]
