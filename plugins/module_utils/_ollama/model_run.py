# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One run of ollama_model: from what the user asked for to a plan, from there to the store or the API, and a report."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import (
    Name,
    full_name,
    parse_name,
    spelled_as_in_store,
)
from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import Unreachable
from ansible_collections.gguf.fleet.plugins.module_utils._engine.residency import Resident
from ansible_collections.gguf.fleet.plugins.module_utils._host.graphics import nvidia_cards
from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import as_count
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import api_import, apply, loading, way_back
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import plan as plans
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.config import SourceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.manifest import MODEL, Settings, digest_of
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.parameters import check_parameters
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem, StaysInMemory
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.store import Store, StoreProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.templates import checked_template, with_stops
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import (
    NEWEST_TESTED,
    OLDEST_TESTED,
    Rules,
    parse_version,
    rules_for,
)
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.weights import Weights, weights_of

_START_SECONDS = 60.0


@dataclass(frozen=True)
class Request:
    """What is asked for of one model, or of those that go.

    keep: the names that stay when others are pruned. pinned: those that shall stay loaded. rival: why this one does
    not, although it shall: another one of the same weights does. other_hosts: more servers of the same store, which may
    have loaded what goes. also_on: those that serve this one as well as `host`. remove_files: whether the files made
    for what goes do so, too, but for keep_files. prove: whether a model that gets other settings is asked, and gets the
    old ones back where it does not answer. restarts: whether the caller restarts a server that cannot unload what its
    names shall mean no more, and runs this again.
    """

    host: str
    models_dir: str
    check: bool
    name: str = ""
    keep: Sequence[str] = ()
    pinned: Sequence[str] = ()
    rival: str = ""
    other_hosts: Sequence[str] = ()
    also_on: Sequence[str] = ()
    remove_files: bool = False
    keep_files: Sequence[str] = ()
    file: Optional[str] = None
    base: Optional[str] = None
    template: Optional[str] = None
    system: Optional[str] = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Mapping[str, str]] = ()
    license: Sequence[str] = ()
    import_way: str = "auto"
    version: Optional[str] = None
    keep_alive: Optional[str] = None
    prove: bool = False
    load_timeout: Optional[int] = None
    restarts: bool = False


@dataclass(frozen=True)
class Result:
    """What was done. restart: the server that has to be restarted first, since it cannot unload; then nothing was."""

    actions: Tuple[Dict[str, Any], ...] = ()
    warnings: Tuple[str, ...] = ()
    model: Optional[str] = None
    removed: Tuple[str, ...] = ()
    digest: Optional[str] = None
    size_bytes: int = 0
    import_used: Optional[str] = None
    freed_bytes: int = 0
    kept_files: Tuple[Mapping[str, Any], ...] = ()
    loaded: Optional[Dict[str, Any]] = None
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    restart: str = ""

    def as_dict(self) -> Dict[str, Any]:
        return {
            "changed": bool(self.actions),
            "actions": list(self.actions),
            "model": self.model,
            "digest": self.digest,
            "size_bytes": self.size_bytes,
            "import_used": self.import_used,
            "freed_bytes": self.freed_bytes,
            "kept_files": [dict(file) for file in self.kept_files],
            "loaded": self.loaded,
        }


@dataclass(frozen=True)
class _Server:
    client: Ollama
    rules: Rules


def present(request: Request, ledger: Ledger) -> Result:
    """The model is in the server's store as asked for, and loaded when that was asked for."""
    name = parse_name(request.name)
    client = Ollama.at(request.host)
    rules, warnings = _rules(request, client)
    settings = Settings(
        template=checked_template(request.template or "", rules.version, str(name)) or None,
        system=request.system or None,
        parameters=check_parameters(with_stops(request.parameters, request.template or ""), rules.version),
        messages=request.messages,
        license=request.license,
    )
    way = _way(request, rules)
    if request.file is not None and not os.path.exists(request.file):
        return _waiting(request, name, way, warnings)
    # By the API the server itself keeps nothing to go back to.
    kept = (
        way_back.remember(request.models_dir, name) if request.prove and way == "store" and not request.check else None
    )
    made = (_by_store if way == "store" else _by_api)(request, _Server(client, rules), name, settings, ledger)
    if kept is not None and any(action["action"] == plans.WRITE_MANIFEST for action in made.actions):
        way_back.prove(kept, client.url, lambda: _store(request, ledger, client), ledger)
    report, loaded, more = _loaded(request, client, made)
    for server in map(Ollama.at, request.also_on):
        there, _loaded_there, said = _loaded(request, server, made)
        report += [{**action, "reason": f"{action['reason']}, on {server.url}"} for action in there]
        more += said
    return Result(
        actions=(*made.actions, *report),
        warnings=(*warnings, *made.warnings, *more),
        model=made.model,
        digest=made.digest,
        size_bytes=made.size_bytes,
        import_used=way,
        freed_bytes=made.freed_bytes,
        loaded=loaded,
        before=made.before,
        after=made.after,
    )


def absent(request: Request, ledger: Ledger) -> Result:
    """The model and all that only it needs are gone."""
    name = parse_name(request.name)
    client = Ollama.at(request.host)
    if request.import_way == "api" or not os.path.isdir(request.models_dir):
        return _absent_by_api(request, client, name)
    return _remove(request, client, [name], ledger)


def pruned(request: Request, ledger: Ledger) -> Result:
    """Models that we made and that nobody declares any more are gone, and the files that nothing needs with them.

    Models of others stay, and so does what they are made of, which is told.
    """
    if not os.path.isdir(request.models_dir):
        return _without_store(request, ledger)
    kept = {parse_name(name).folded for name in request.keep}
    with Store(request.models_dir) as store:
        stale = [name for name in plans.ours(store, ledger) if name.folded not in kept]
    return _remove(request, Ollama.at(request.host), stale, ledger)


def _rules(request: Request, client: Ollama) -> Tuple[Rules, List[str]]:
    """The rules of the server's version; a check before the first start plans for the version that is to come."""
    try:
        answered = client.version()
    except Unreachable as problem:
        if not request.check:
            raise
        rules = rules_for(parse_version(request.version) if request.version else NEWEST_TESTED)
        return rules, [f"{problem.problem} The plan is for Ollama {rules.version}."]
    return rules_for(parse_version(request.version or answered)), []


def _way(request: Request, rules: Rules) -> str:
    if rules.version < OLDEST_TESTED:
        raise OllamaProblem(
            f"Ollama {rules.version} is older than {OLDEST_TESTED}, the oldest that this module knows.",
            "Install a newer ollama_version first.",
        )
    if request.import_way != "auto":
        return request.import_way
    return "store" if rules.tested else "api"


def _waiting(request: Request, name: Name, way: str, warnings: Sequence[str]) -> Result:
    """In check mode the file may be one that an earlier task would fetch."""
    if not request.check:
        raise SourceProblem(f"There is no file {request.file}.", "Fetch it first, with gguf_download.")
    action = {"action": "import", "path": request.file, "reason": "the file is not there yet", "size_bytes": 0}
    return Result(actions=(action,), warnings=tuple(warnings), model=str(name), import_used=way)


def _by_store(request: Request, server: _Server, name: Name, settings: Settings, ledger: Ledger) -> Result:
    if request.check and not os.path.isdir(request.models_dir):
        action = {"action": "import", "path": request.models_dir, "reason": "not there yet", "size_bytes": 0}
        return Result(actions=(action,), model=str(name))
    base = parse_name(request.base) if request.base is not None else None
    with contextlib.ExitStack() as stack:
        weights = None
        if request.file is not None:
            real_run = not request.check
            weights = stack.enter_context(weights_of(request.file, ledger, note=real_run, protect=real_run))
        wanted = plans.Wanted(name=name, settings=settings, weights=weights, base=base)
        more: List[str] = []
        store = stack.enter_context(_store(request, ledger, server.client))
        if request.check:
            plan, freed = plans.plan_present(store, wanted, server.rules, ledger), 0
        else:
            leave = _make_room_for_others(request, server.client, store, wanted, more)
            made = apply.make_present(store, wanted, server.rules, ledger, leave)
            plan, freed = made.plan, made.freed_bytes
        warnings = tuple(dict.fromkeys((*plan.warnings, *store.warnings, *more)))
    digest = digest_of(plan.composition.manifest.encode()).partition(":")[2]
    if not request.check:
        _must_be_listed(server.client, request.models_dir, plan.name, digest)
    return Result(
        actions=tuple(action.as_dict() for action in plan.actions),
        warnings=warnings,
        model=str(plan.name),
        digest=digest,
        size_bytes=plan.composition.manifest.size_bytes,
        freed_bytes=freed,
        before=plan.before,
        after=plan.after,
    )


def _store(request: Request, ledger: Ledger, client: Optional[Ollama] = None) -> Store:
    """A run that only looks keeps nobody out. client: of the server that must not be starting meanwhile."""
    if request.check:
        return Store(request.models_dir)
    return Store(request.models_dir, locks=ledger.directory, started=lambda: client is None or _answers(client))


def _answers(client: Ollama) -> bool:
    try:
        client.version()
    except Unreachable:
        return False
    return True


def _must_be_listed(client: Ollama, models_dir: str, name: Name, digest: str) -> None:
    # A server that was to start while the lock was held starts now.
    end = time.monotonic() + _START_SECONDS
    while not _answers(client) and time.monotonic() < end:
        time.sleep(0.2)
    model = api_import.listed(client, name)
    if model is None or str(model.get("digest", "")).rpartition(":")[2] != digest:
        raise StoreProblem(
            f"{name} is in {models_dir}, but Ollama at {client.url} does not list it.",
            "Name the directory as models_dir that this server's OLLAMA_MODELS names.",
        )


def _by_api(request: Request, server: _Server, name: Name, settings: Settings, ledger: Ledger) -> Result:
    with contextlib.ExitStack() as stack:
        weights = None
        if request.file is not None:
            weights = stack.enter_context(weights_of(request.file, ledger, note=not request.check))
        return _with_weights_by_api(request, server, name, settings, weights)


def _with_weights_by_api(
    request: Request, server: _Server, name: Name, settings: Settings, weights: Optional[Weights]
) -> Result:
    client = server.client
    if weights is not None:
        plan = api_import.plan_from_file(client, name, weights, settings, server.rules.version)
    else:
        plan = api_import.plan_from_base(client, name, parse_name(str(request.base)), settings)
    actions = []
    if plan.upload is not None and weights is not None:
        reason, size = "the server lacks it", weights.size_bytes
        actions.append({"action": "upload", "path": weights.path, "reason": reason, "size_bytes": size})
    if plan.create is not None:
        actions.append({"action": "create", "path": str(name), "reason": plan.reason, "size_bytes": 0})
    more: List[str] = []
    if not request.check:
        if plan.create is not None and weights is not None and plan.before:
            more = _unload_everywhere(request, client, name)
        api_import.apply(client, plan, weights)
    model = api_import.listed(client, name) or {}
    return Result(
        actions=tuple(actions),
        warnings=tuple(more),
        model=str(model.get("name") or name),
        digest=str(model["digest"]).rpartition(":")[2] if "digest" in model else None,
        size_bytes=as_count(model.get("size")) or 0,
        before=plan.before,
        after=plan.after,
    )


def _loaded(
    request: Request, client: Ollama, made: Result
) -> Tuple[List[Dict[str, Any]], Optional[Dict[str, Any]], List[str]]:
    """Load the model after a change, and keep it loaded when it shall be pinned."""
    if request.keep_alive is None:
        return [], None, []
    keep_alive = loading.parse_keep_alive(request.keep_alive)
    name = parse_name(str(made.model))
    pinned = loading.keeps_for_ever(keep_alive)
    if pinned and request.rival:
        return [], None, [request.rival] if made.actions else []
    try:
        current, sure = loading.find_loaded(client, name)
    except Unreachable:
        if not request.check:
            raise
        current, sure = None, True
    was_pinned = current is not None and current.pinned
    if not made.actions and (not pinned or (was_pinned and (sure or request.check))):
        return [], loading.landed(current) if current else None, []
    reason = "it is to stay loaded" if pinned else "to see where it lands"
    action = {"action": "load", "path": str(name), "reason": reason, "size_bytes": made.size_bytes}
    if request.check:
        return [action], loading.landed(current) if current else None, []
    limit = request.load_timeout or loading.whole_file_seconds(made.size_bytes)
    moved = loading.load(client, name, limit, keep_alive)
    actions = [action] if moved or made.actions or not was_pinned else []
    current, _sure = loading.find_loaded(client, name)
    if current is None:
        return actions, None, []
    warning = loading.landing_warning(name, current) if _gpus_expected(request, current) else None
    return actions, loading.landed(current), [warning] if warning else []


def _gpus_expected(request: Request, loaded: Resident) -> bool:
    """Whether the model could lie on GPUs: some of it does, its layers are meant to, or the host has cards."""
    layers = str(request.parameters.get("num_gpu", "-1"))
    if loaded.size_vram_bytes or not layers.lstrip("-").isdigit():
        return True
    return int(layers) > 0 or (int(layers) < 0 and nvidia_cards() > 0)


def _absent_by_api(request: Request, client: Ollama, name: Name) -> Result:
    if client.show(str(name)) is None:
        return Result(model=str(name), import_used="api")
    if not request.check:
        client.delete(str(name))
    action = {"action": "delete", "path": str(name), "reason": "the model is to be removed", "size_bytes": 0}
    return Result(actions=(action,), model=str(name), import_used="api")


def _remove(request: Request, client: Ollama, names: Sequence[Name], ledger: Ledger) -> Result:
    kept = {os.path.normpath(path) for path in request.keep_files}
    with _store(request, ledger) as store:
        plan = plans.plan_absent(
            store,
            names,
            ledger,
            lambda path: not request.remove_files or path in kept,
            all_files=request.remove_files and not request.name,
        )
        freed = 0
        more: List[str] = []
        if not request.check:
            going = [action.name for action in plan.actions if action.name is not None]
            going = [name for name in going if not _needed_in_memory(request, store, name)]
            for server in (client, *map(Ollama.at, request.other_hosts)):
                more += _unload(request, server, going)
            freed = apply.apply(store, plan.actions, ledger)
        more += [_stays(file) for file in plan.kept_files if file["reason"]]
        warnings = tuple(dict.fromkeys((*plan.warnings, *store.warnings, *more)))
    return Result(
        actions=tuple(action.as_dict() for action in plan.actions),
        warnings=warnings,
        model=str(plan.names[0]) if request.name else None,
        removed=tuple(str(name) for name in plan.names),
        import_used="store",
        freed_bytes=freed,
        kept_files=plan.kept_files,
        before=plan.before,
    )


def _without_store(request: Request, ledger: Ledger) -> Result:
    """A host that has no store has files all the same: llama.cpp's."""
    kept = {os.path.normpath(path) for path in request.keep_files}
    left = plans.files_left(ledger, {}, kept.__contains__) if request.remove_files else ()
    actions = plans.removing(left)
    return Result(
        actions=tuple(action.as_dict() for action in actions),
        freed_bytes=0 if request.check else sum(apply.remove_file_of(action.path, ledger) for action in actions),
        before={"files": [action.path for action in actions]} if actions else {},
    )


def _stays(file: Mapping[str, Any]) -> str:
    return f"{file['path']} stays with {file['size_bytes']:,} bytes, although nothing declares it: {file['reason']}."


def _unload(request: Request, client: Ollama, names: Sequence[Name]) -> List[str]:
    """What stays in memory would go on answering, and keep the removed file's space taken."""
    try:
        return [warning for name in names for warning in loading.unload(client, name, all_of_it=request.restarts)]
    except StaysInMemory as problem:
        problem.server = client.url
        raise
    except Unreachable:
        return []


def _unload_everywhere(request: Request, client: Ollama, name: Name) -> List[str]:
    """Out of the memory of each server that serves the model."""
    servers = (client, *map(Ollama.at, request.also_on))
    return [warning for server in servers for warning in _unload(request, server, [name])]


def _needed_in_memory(request: Request, store: Store, name: Name) -> bool:
    """Whether a model that shall stay loaded is made of the same weights, and so may be served by the same runner."""
    models, _unreadable = store.manifests()
    mine = models.get(name)
    weights = mine.layer(MODEL) if mine is not None else None
    pinned = {full_name(other) for other in request.pinned} - {full_name(str(name))}
    return weights is not None and any(
        full_name(str(other)) in pinned and manifest.layer(MODEL) == weights for other, manifest in models.items()
    )


def _make_room_for_others(
    request: Request, client: Ollama, store: Store, wanted: plans.Wanted, warnings: List[str]
) -> Callable[[Name], None]:
    """What is done before a manifest is replaced: weights that its name means no more leave the memory first."""

    def before_switch(name: Name) -> None:
        models, _unreadable = store.manifests()
        old = models[name].layer(MODEL) if name in models else None
        new = wanted.weights.sha256 if wanted.weights is not None else None
        if wanted.base is not None:
            base = models.get(spelled_as_in_store(wanted.base, models))
            layer = base.layer(MODEL) if base is not None else None
            new = layer.digest.partition(":")[2] if layer is not None else None
        if old is not None and old.digest != f"sha256:{new}" and not _needed_in_memory(request, store, name):
            warnings.extend(_unload_everywhere(request, client, name))

    return before_switch
