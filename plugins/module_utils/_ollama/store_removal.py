# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A store taken away without what is not a store's. It may lie in its user's home: see store.py."""

from __future__ import annotations

import os
from typing import Set, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import identity
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import plan as plans
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.apply import apply
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import StoreProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.store import Store
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.store_directories import (
    KIND,
    PARTS,
    Outcome,
    action_of,
)

REMOVE_DIRECTORY = "remove_directory"


def absent(path: str, ledger: Ledger, *, check: bool = False) -> Outcome:
    """What is a store's is gone: all of it where we made the directory, else only the models that we made.

    Whatever else lies there stays, and is named.
    """
    path = os.path.abspath(path)
    try:
        store = Store(path, locks=None if check else ledger.directory)
        with store:
            ours = ledger.lookup(path, kind=KIND, status=store.status) is not None
            outcome = _without_all(store, check) if ours else _without_ours(store, ledger, check)
    except StoreProblem:
        if os.path.lexists(path):
            raise
        return Outcome(())
    if ours and not outcome.kept:
        if not check:
            _remove_directory(path, store.status)
        outcome = Outcome(
            (*outcome.actions, action_of(REMOVE_DIRECTORY, path)), (), outcome.freed_bytes, outcome.warnings
        )
    if not check:
        _forget(path, ledger)
    return outcome


def _without_all(store: Store, check: bool) -> Outcome:
    manifests, blobs = store.manifest_files(), store.blob_files()
    actions = [action_of("remove_manifest", os.path.join(store.path, "manifests", *parts)) for parts in manifests]
    actions += [action_of("remove_blob", os.path.join(store.path, "blobs", name)) for name in blobs]
    if check:
        return Outcome(tuple(actions), _others(store, {action["path"] for action in actions}))
    store.remove_leftovers()
    freed = sum(store.remove_manifest_file(parts) for parts in manifests)
    freed += sum(store.remove_blob_file(name) for name in blobs)
    store.remove_empty_directories()
    return Outcome(tuple(actions), tuple(store.entries()), freed, tuple(store.warnings))


def _without_ours(store: Store, ledger: Ledger, check: bool) -> Outcome:
    plan = plans.plan_absent(store, plans.ours(store, ledger), ledger)
    freed = 0 if check else apply(store, plan.actions, ledger)
    kept = _others(store, {action.path for action in plan.actions})
    warnings = tuple(dict.fromkeys((*plan.warnings, *store.warnings)))
    return Outcome(tuple(action.as_dict() for action in plan.actions), kept, freed, warnings)


def _others(store: Store, going: Set[str]) -> Tuple[str, ...]:
    """What stays; a directory of manifests goes when all manifests in it do."""
    stays = set()
    for parts in store.manifest_files():
        if os.path.join(store.path, "manifests", *parts) not in going:
            stays.add(os.path.join(store.path, "manifests", parts[0]))
    manifests = {os.path.join(store.path, "manifests", parts[0]) for parts in store.manifest_files()}
    own = {os.path.join(store.path, name) for name in PARTS}
    return tuple(
        path
        for path in store.entries()
        if path not in going and path not in own and (path not in manifests or path in stays)
    )


def _remove_directory(path: str, made: os.stat_result) -> None:
    """The models directory itself, if it is still the one that we made and nothing is in it."""
    try:
        with parent_of(path) as (parent, name):
            status = parent.status(name)
            if status is not None and identity(status) == identity(made):
                os.rmdir(name, dir_fd=parent.fd)
    except OSError as error:
        raise StoreProblem(
            f"{path} cannot be removed: {error.strerror or error}.", "Check what is in it, and remove it."
        ) from error


def _forget(path: str, ledger: Ledger) -> None:
    for entry in [*ledger.entries(models_dir=path), *ledger.entries(KIND)]:
        if (entry.path == path or entry.kind != KIND) and not os.path.lexists(entry.path):
            ledger.forget(entry.path)
