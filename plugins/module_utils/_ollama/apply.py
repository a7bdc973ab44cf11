# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Carry out a plan on a store, and note in the ledger what was made."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import plan as plans
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.manifest import MODEL, digest_of
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.names import Name
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.store import Store, StoreProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import Rules

# A server that starts meanwhile prunes what no manifest names yet; then the missing parts are made again.
_ROUNDS = 3


@dataclass(frozen=True)
class Made:
    """The plan that was carried out, and the bytes that this freed."""

    plan: plans.PresentPlan
    freed_bytes: int


def make_present(store: Store, wanted: plans.Wanted, rules: Rules, ledger: Ledger) -> Made:
    """Make the model be as wanted, and look again whether it is."""
    first = plan = plans.plan_present(store, wanted, rules, ledger)
    freed = rounds = 0
    while plan.actions and rounds < _ROUNDS:
        freed += apply(store, plan.actions, ledger)
        plan = plans.plan_present(store, wanted, rules, ledger)
        rounds += 1
    if plan.actions:
        raise StoreProblem(
            f"Something else keeps changing {store.path}: {wanted.name} is not complete after {_ROUNDS} attempts.",
            "Look whether Ollama restarts all the time, or whether another tool writes there.",
        )
    _note_all(store, plan, ledger)
    return Made(first, freed)


def apply(store: Store, actions: Sequence[plans.Action], ledger: Ledger) -> int:
    """Do all that, in this order; the bytes that it freed."""
    store.remove_leftovers()
    freed = sum(_do(store, action, ledger) for action in actions)
    for entry in ledger.entries(models_dir=store.path):
        if not os.path.lexists(entry.path):
            ledger.forget(entry.path)
    return freed


def _do(store: Store, action: plans.Action, ledger: Ledger) -> int:
    if action.action == plans.PROTECT:
        _protect(action.path)
    elif action.action == plans.TAKE_OVER:
        store.take_over(action.path)
    elif action.action in (plans.HARD_LINK, plans.SYMBOLIC_LINK, plans.COPY):
        put = {plans.HARD_LINK: store.hard_link, plans.SYMBOLIC_LINK: store.symbolic_link, plans.COPY: store.copy}
        put[action.action](action.source, action.digest)
        _note_blob(store, action.digest, ledger)
    elif action.action == plans.WRITE_BLOB:
        store.write_blob(action.data, action.digest)
        _note_blob(store, action.digest, ledger)
    elif action.action == plans.WRITE_MANIFEST and action.name is not None:
        store.write_manifest(action.name, action.data)
        _note_manifest(store, action.name, digest_of(action.data), ledger)
    elif action.action == plans.REMOVE_MANIFEST and action.name is not None:
        return store.remove_manifest(action.name)
    elif action.action == plans.REMOVE_BLOB:
        return store.remove_blob(action.digest)
    return 0


def _protect(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.geteuid() == 0:
            os.fchown(handle, 0, 0)
        os.fchmod(handle, 0o444)
    except OSError as error:
        raise StoreProblem(
            f"{path} cannot be made read-only: {error.strerror}.",
            "Keep model files on a file system where root may own them.",
        ) from error
    finally:
        os.close(handle)


def _note_all(store: Store, plan: plans.PresentPlan, ledger: Ledger) -> None:
    """What a killed run made without noting it, or what somebody else made just as it shall be."""
    manifest = plan.composition.manifest
    weights = manifest.layer(MODEL)
    for digest in (*plan.composition.blobs, *([weights.digest] if weights and plan.from_file else [])):
        if ledger.lookup(store.blob_path(digest)) is None:
            _note_blob(store, digest, ledger)
    path, digest = store.manifest_path(plan.name), digest_of(manifest.encode())
    entry = ledger.lookup(path, kind="manifest")
    if entry is None or f"sha256:{entry.sha256}" != digest:
        _note_manifest(store, plan.name, digest, ledger)


def _note_blob(store: Store, digest: str, ledger: Ledger) -> None:
    path = store.blob_path(digest)
    status = os.lstat(path)
    linked = stat.S_ISLNK(status.st_mode) or status.st_nlink > 1
    ledger.record(path, sha256=_hex(digest), kind="link" if linked else "blob", models_dir=store.path)


def _note_manifest(store: Store, name: Name, digest: str, ledger: Ledger) -> None:
    path = store.manifest_path(name)
    ledger.record(path, sha256=_hex(digest), kind="manifest", models_dir=store.path, model=str(name))


def _hex(digest: str) -> str:
    return digest.partition(":")[2]
