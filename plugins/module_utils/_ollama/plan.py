# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a run would do to a store, and why: computed from what is there and what is wanted, without changing anything.

The order of the actions is what makes a killed run harmless: the weights before the small blobs, those before the
manifest, and nothing is removed before the manifest that no longer needs it is in place.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import Name, spelled_as_in_store
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import identity
from ansible_collections.gguf.fleet.plugins.module_utils._host.access import closed_directory
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Entry, Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import manifest as manifests
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.store import Store, StoreProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import Rules
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.weights import Weights, others_may_write

PROTECT = "protect"
TAKE_OVER = "take_over"
HARD_LINK = "hard_link"
SYMBOLIC_LINK = "symbolic_link"
COPY = "copy"
WRITE_BLOB = "write_blob"
WRITE_MANIFEST = "write_manifest"
REMOVE_BLOB = "remove_blob"
REMOVE_MANIFEST = "remove_manifest"
REMOVE_FILE = "remove_file"


@dataclass(frozen=True)
class Wanted:
    """A model as it shall be: from a file or from another model."""

    name: Name
    settings: manifests.Settings
    weights: Optional[Weights] = None
    base: Optional[Name] = None


@dataclass(frozen=True)
class Action:
    action: str
    path: str
    reason: str
    size_bytes: int = 0
    digest: str = ""
    data: bytes = b""
    source: str = ""
    name: Optional[Name] = None

    def as_dict(self) -> Dict[str, Any]:
        return {"action": self.action, "path": self.path, "reason": self.reason, "size_bytes": self.size_bytes}


@dataclass(frozen=True)
class PresentPlan:
    """What makes a model be as wanted, and what the store holds of it then."""

    name: Name
    actions: Tuple[Action, ...]
    composition: manifests.Composition
    from_file: bool
    warnings: Tuple[str, ...]
    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(frozen=True)
class AbsentPlan:
    """What removes models."""

    names: Tuple[Name, ...]
    actions: Tuple[Action, ...]
    kept_files: Tuple[Mapping[str, Any], ...]
    warnings: Tuple[str, ...]
    before: Mapping[str, Any]


def plan_present(store: Store, wanted: Wanted, rules: Rules, ledger: Ledger) -> PresentPlan:
    """What makes the model be as wanted."""
    models, unreadable = store.manifests()
    name = spelled_as_in_store(wanted.name, models)
    composition = _composed(store, models, wanted, name, rules)
    current = models.get(name)
    actions: List[Action] = []
    for directory in store.directories_of_others(name):
        actions.append(Action(TAKE_OVER, directory, "the server could not write there: another user owns it"))
    if wanted.weights is not None:
        actions += _weights_actions(store, wanted.weights, ledger)
    for digest, data in composition.blobs.items():
        if store.read_blob(digest) != data:
            reason = "not there yet" if store.blob_status(digest) is None else "its content is not what its name says"
            actions.append(Action(WRITE_BLOB, store.blob_path(digest), reason, len(data), digest, data))
    data = composition.manifest.encode()
    if store.read_manifest(name) != data:
        reason = "not there yet" if store.manifest_status(name) is None else "the model changes"
        actions.append(Action(WRITE_MANIFEST, store.manifest_path(name), reason, len(data), data=data, name=name))
    if not unreadable:
        actions += _removable(store, ledger, {name: current}, {**models, name: composition.manifest})
    return PresentPlan(
        name=name,
        actions=tuple(actions),
        composition=composition,
        from_file=wanted.weights is not None,
        warnings=(*_warnings(wanted, rules, unreadable), *_without_hard_link(actions), *store.warnings),
        before={} if current is None else described(store, current, {}),
        after=described(store, composition.manifest, composition.blobs),
    )


def plan_absent(
    store: Store,
    names: Sequence[Name],
    ledger: Ledger,
    keep_file: Callable[[str], bool] = lambda path: True,
    *,
    all_files: bool = False,
) -> AbsentPlan:
    """What removes these models and all that only they need; with all_files also what earlier models left behind.

    Of the files that we made for them, those that `keep_file` does not want go first: as long as the model is there, a
    killed run leaves something that tells the next one of them.
    """
    models, unreadable = store.manifests()
    actions: List[Action] = []
    gone: Dict[Name, Optional[manifests.Manifest]] = {}
    for wanted in names:
        name = spelled_as_in_store(wanted, models)
        gone[name] = models.get(name)
        status = store.manifest_status(name)
        if status is not None:
            path = store.manifest_path(name)
            actions.append(Action(REMOVE_MANIFEST, path, "the model is to be removed", status.st_size, name=name))
    remaining = {name: manifest for name, manifest in models.items() if name not in gone}
    strangers = [problem for problem in unreadable if problem.path not in map(store.manifest_path, gone)]
    if not strangers:
        actions += _removable(store, ledger, gone, remaining)
    behind = _files_behind(actions, ledger)
    if all_files and not unreadable:
        behind = (*(file for file in behind if not file["made"]), *files_left(ledger, remaining, keep_file))
    files = removing([file for file in behind if not keep_file(file["path"])])
    going = {action.path for action in files}
    return AbsentPlan(
        names=tuple(gone),
        actions=(*files, *actions),
        kept_files=tuple(file for file in behind if file["path"] not in going),
        warnings=(*_of_unreadable(strangers), *store.warnings),
        before={
            **{str(name): described(store, manifest, {}) for name, manifest in gone.items() if manifest},
            **({"files": [action.path for action in files]} if files else {}),
        },
    )


def ours(store: Store, ledger: Ledger) -> List[Name]:
    """The models of this store that the ledger says we made, and that nobody made anew since."""
    models, _unreadable = store.manifests()
    known = []
    for name in models:
        entry = ledger.lookup(store.manifest_path(name), kind="manifest", status=store.manifest_status(name))
        data = store.read_manifest(name)
        if entry is not None and data is not None and f"sha256:{entry.sha256}" == manifests.digest_of(data):
            known.append(name)
    return known


def _composed(
    store: Store, models: Mapping[Name, manifests.Manifest], wanted: Wanted, name: Name, rules: Rules
) -> manifests.Composition:
    if wanted.weights is not None:
        weights = wanted.weights
        blob_path = store.blob_path(f"sha256:{weights.sha256}")
        layer = manifests.weights_layer(weights.sha256, weights.size_bytes, blob_path, rules)
        return manifests.compose_from_file(weights.source, layer, wanted.settings, rules)
    if wanted.base is None:
        raise StoreProblem(f"{name} has nothing to be made of.", "Give file or from.")
    base = spelled_as_in_store(wanted.base, models)
    if base == name:
        raise StoreProblem(f"{name} cannot be made from itself.", "Give the new model another name.")
    if base not in models:
        raise StoreProblem(
            f"There is no model {base} in {store.path} to make {name} from.",
            f"Import it first; nothing is pulled from a registry. There are: {_listed(models)}.",
        )
    return manifests.compose_from_base(_base(store, base, models[base]), wanted.settings, rules)


def _base(store: Store, name: Name, manifest: manifests.Manifest) -> manifests.Base:
    for layer in manifest.layers:
        if store.blob_status(layer.digest) is None:
            raise StoreProblem(
                f"The model {name} lacks its blob {store.blob_path(layer.digest)}.", "Import that model again first."
            )
    config = manifests.json_object(store.read_blob(manifest.config.digest))
    params = manifest.layer(manifests.PARAMS)
    parameters = {} if params is None else manifests.json_object(store.read_blob(params.digest))
    if config is None or parameters is None:
        raise StoreProblem(f"The model {name} in {store.path} is damaged.", "Import that model again first.")
    return manifests.Base(str(name), manifest, config, parameters)


def _listed(names: Iterable[Name]) -> str:
    return ", ".join(sorted(str(name) for name in names)) or "none"


def _weights_actions(store: Store, weights: Weights, ledger: Ledger) -> List[Action]:
    """What brings the file into the store without copying it."""
    actions = []
    file = os.fstat(weights.file)
    if weights.protected or others_may_write(file):
        reason = "others than root could change the verified bytes"
        actions.append(Action(PROTECT, weights.path, reason, file.st_size))
    digest = f"sha256:{weights.sha256}"
    if _is_there(store, weights, digest, file, ledger):
        return actions
    present = store.blob_status(digest)
    reason = "not there yet" if present is None else "there is another copy of the file; it makes room"
    way, why = _way_in(store, weights)
    actions.append(
        Action(way, store.blob_path(digest), f"{reason}{why}", weights.size_bytes, digest, source=weights.path)
    )
    return actions


def _is_there(store: Store, weights: Weights, digest: str, file: os.stat_result, ledger: Ledger) -> bool:
    present, target = store.blob_status(digest), store.blob_target(digest)
    if present is None or target is None:
        return False
    if identity(target) == identity(file):
        return True
    copy = ledger.lookup(store.blob_path(digest), kind="blob", status=present)
    return copy is not None and copy.sha256 == weights.sha256 and not others_may_write(present)


def _way_in(store: Store, weights: Weights) -> Tuple[str, str]:
    if store.on_same_mount(weights.file):
        return HARD_LINK, ""
    if weights.shared:
        # A symbolic link would lead to whatever is at the path later.
        why = f"others than root can change the directory of {weights.path}"
        remedy = "Keep the file in a directory of root's, or on the store's file system."
    else:
        closed = closed_directory(weights.path, *store.owner, last=stat.S_IROTH)
        if closed is None:
            return SYMBOLIC_LINK, "; the file is on another file system"
        why = f"the server's user cannot enter {closed}"
        remedy = f"Let others enter that directory (chmod o+x {closed}), or keep the file on the store's file system."
    free = store.free_bytes()
    if free < weights.size_bytes:
        raise StoreProblem(
            f"{weights.path} is on another file system than {store.path}, {why}, and "
            f"a copy needs {weights.size_bytes:,} bytes where {free:,} are free.",
            remedy,
        )
    return COPY, f"; the file is on another file system, and {why}"


def _removable(
    store: Store,
    ledger: Ledger,
    gone: Mapping[Name, Optional[manifests.Manifest]],
    remaining: Mapping[Name, manifests.Manifest],
) -> List[Action]:
    """Blobs that no model needs any more: of manifests that go, and what we made for one that never came about."""
    candidates: Set[str] = {digest for manifest in gone.values() if manifest for digest in manifest.digests}
    for entry in ledger.entries(models_dir=store.path):
        if entry.kind in ("blob", "link") and entry.sha256:
            candidates.add(f"sha256:{entry.sha256}")
    needed = {digest for manifest in remaining.values() for digest in manifest.digests}
    actions = []
    for digest in sorted(candidates - needed):
        status = store.blob_status(digest)
        if status is not None:
            freed = status.st_blocks * 512 if status.st_nlink == 1 else 0
            actions.append(Action(REMOVE_BLOB, store.blob_path(digest), "no model needs it any more", freed, digest))
    return actions


def _files_behind(actions: Sequence[Action], ledger: Ledger) -> Tuple[Mapping[str, Any], ...]:
    """The files behind links that go: they hold the space that removing the model does not free."""
    gone = {action.digest for action in actions if action.action == REMOVE_BLOB}
    return tuple(
        {"path": entry.path, "size_bytes": entry.size_bytes, "made": _made(entry), "reason": ""}
        for entry in ledger.entries("file")
        if f"sha256:{entry.sha256}" in gone and entry.is_current()
    )


def files_left(
    ledger: Ledger, remaining: Mapping[Name, manifests.Manifest], keep_file: Callable[[str], bool]
) -> Tuple[Mapping[str, Any], ...]:
    """The files that were fetched or merged and that no wanted model needs, each with the reason why it has to stay.

    A file that is not ours to remove, and one that another model than ours is made of, stays.
    """
    needed: Dict[str, List[str]] = {}
    for name, manifest in remaining.items():
        for layer in manifest.layers:
            needed.setdefault(layer.digest, []).append(str(name))
    found = []
    for entry in ledger.entries("file"):
        if not _made(entry) or not entry.is_current() or keep_file(entry.path):
            continue
        users = needed.get(f"sha256:{entry.sha256}", [])
        reason = f"{', '.join(sorted(users))} needs it" if users else ""
        found.append({"path": entry.path, "size_bytes": entry.size_bytes, "made": True, "reason": reason})
    return tuple(found)


def removing(files: Sequence[Mapping[str, Any]]) -> List[Action]:
    """What removes those that are ours to remove."""
    reason = "it was made for a model that nothing declares any more"
    return [
        Action(REMOVE_FILE, file["path"], reason, file["size_bytes"])
        for file in files
        if file["made"] and not file["reason"]
    ]


def _made(entry: Entry) -> bool:
    return bool({"lock", "sources"} & set(entry.notes))


def _warnings(wanted: Wanted, rules: Rules, unreadable: Sequence[manifests.ManifestProblem]) -> Tuple[str, ...]:
    warnings = list(_of_unreadable(unreadable))
    weights = wanted.weights
    if weights is not None and not wanted.settings.template and rules.needs_template:
        warnings.append(
            f"{wanted.name} has no template, and Ollama {rules.version} does not use the one in the GGUF file: "
            "the model gets the bare prompt. Give it a template, or import: api, where the server looks for its own."
        )
    return tuple(warnings)


def _without_hard_link(actions: Sequence[Action]) -> Tuple[str, ...]:
    """The file's other ways into the store cost something: a link dangles without the file, a copy takes its size."""
    become = {SYMBOLIC_LINK: "a symbolic link to", COPY: "a copy of"}
    return tuple(
        f"{action.path} becomes {become[action.action]} {action.source} ({action.size_bytes:,} bytes): {action.reason}."
        for action in actions
        if action.action in become
    )


def _of_unreadable(problems: Sequence[manifests.ManifestProblem]) -> Tuple[str, ...]:
    """With a manifest that cannot be read nobody knows what it needs."""
    return tuple(f"{problem} Blobs that are no longer needed are kept until then." for problem in problems)


def described(store: Store, manifest: manifests.Manifest, new: Mapping[str, bytes]) -> Dict[str, Any]:
    """The model as an operator wants to see it in a diff."""
    return manifests.described(manifest, lambda digest: new.get(digest) or store.read_blob(digest))
