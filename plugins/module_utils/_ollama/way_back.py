# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A model that does not answer with its new settings gets the old ones back."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Callable, ContextManager, Dict, List, Mapping, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.generation import Question, generate
from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import Name, spelled_as_in_store
from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import apply
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import plan as plans
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.loading import unload, whole_file_seconds
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.manifest import MODEL, parse_manifest
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.store import Store

# One word shows that the template is carried out and the model loads.
_QUESTION = Question("Say hello.", 8, "ollama", may_be_empty=True)
# What it cannot be asked for it did not answer before either: a model of embeddings.
_NOT_ASKED = (400, 501)
Opened = Callable[[], ContextManager[Store]]


@dataclass(frozen=True)
class Before:
    """A model as it was: its manifest, and its small blobs by digest. The weights stay where they are."""

    name: Name
    manifest: bytes
    blobs: Mapping[str, bytes]
    weights: str


def remember(models_dir: str, name: Name) -> Optional[Before]:
    """The model as it is now; nothing of one that is not there, or whose parts are not."""
    if not os.path.isdir(models_dir):
        return None
    with Store(models_dir) as store:
        return _state(store, name)


def _state(store: Store, name: Name) -> Optional[Before]:
    models, _unreadable = store.manifests()
    spelled = spelled_as_in_store(name, models)
    manifest, data = models.get(spelled), store.read_manifest(spelled)
    weights = manifest.layer(MODEL) if manifest is not None else None
    if manifest is None or data is None or weights is None:
        return None
    blobs: Dict[str, bytes] = {}
    for digest in manifest.digests:
        if digest == weights.digest:
            continue
        content = store.read_blob(digest)
        if content is None:
            return None
        blobs[digest] = content
    return Before(spelled, data, blobs, weights.digest)


def prove(before: Before, url: str, opened: Opened, ledger: Ledger) -> None:
    """Ask the model, and give it back what it was where it does not answer. Raises OllamaProblem then.

    Where it does not answer as it was either, the old settings would help nobody, and the new ones stay.

    url: of its server. opened: opens the store to be changed.
    """
    size_bytes = parse_manifest(before.manifest, str(before.name)).size_bytes
    try:
        _ask(before.name, url, size_bytes)
        return
    except EngineProblem as problem:
        if problem.status in _NOT_ASKED:
            return
        failed = problem
    remedy = failed.remedy or "Correct its template and parameters, and run again."
    said = f"{before.name} does not answer with its new settings: {failed.problem}"
    with opened() as store:
        new = _state(store, before.name)
        if store.blob_status(before.weights) is None:
            raise OllamaProblem(f"{said} It could not get the old ones back: their weights are gone.", remedy)
        apply.apply(store, _settings(store, before, "the model gets its old settings back"), ledger)
    try:
        # What was loaded with the new settings would go on with them.
        unload(Ollama.at(url), before.name)
        _ask(before.name, url, size_bytes)
    except EngineProblem as second:
        said = f"{said} Nor does it with the old ones: {second.problem} So it is not these settings alone"
    else:
        raise OllamaProblem(f"{said} The old ones are back, and it answers again.", remedy)
    if new is None:
        raise OllamaProblem(f"{said}. The old ones are back.", remedy)
    with opened() as store:
        apply.apply(store, _settings(store, new, "the model answers with no settings, and these are wanted"), ledger)
    raise OllamaProblem(
        f"{said}, and the new ones stay.",
        "Look in the server's log for the reason (memory, GPUs, disk, the template), and run again.",
    )


def _ask(name: Name, url: str, size_bytes: int) -> None:
    seconds = float(whole_file_seconds(size_bytes))
    generate(Endpoint(url, silence_seconds=seconds), str(name), _QUESTION, wait_seconds=seconds)


def _settings(store: Store, before: Before, why: str) -> List[plans.Action]:
    """What other settings alone need goes with the next run that makes the model."""
    actions = [
        plans.Action(plans.WRITE_BLOB, store.blob_path(digest), why, len(data), digest, data)
        for digest, data in before.blobs.items()
        if store.read_blob(digest) != data
    ]
    path = store.manifest_path(before.name)
    actions.append(
        plans.Action(plans.WRITE_MANIFEST, path, why, len(before.manifest), data=before.manifest, name=before.name)
    )
    return actions
