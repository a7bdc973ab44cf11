# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What runs on a host now: its services, what its engines say of themselves, and the files. Changes nothing."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.llama_server import LlamaServer
from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem
from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import as_count, as_text
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.manifest import MODEL
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.store import Store
from ansible_collections.gguf.fleet.plugins.module_utils._preflight import host
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._service import manager, ours
from ansible_collections.gguf.fleet.plugins.module_utils._service.uptime import FIELDS, since

# A server that works answers at once; one that hangs is not waited for.
_ASK_SECONDS = 10.0


def look(servers: Sequence[Mapping[str, Any]], files: Sequence[str], models_dir: str, store: str) -> Dict[str, Any]:
    """Plain data.

    Args:
        servers: of the fleet value: name, engine, url.
        files: the verified files that the declared models need.
        models_dir: where they lie.
        store: of Ollama, empty where the host has none.
    """
    ledger = Ledger()
    way = manager.detect()[0]
    return {
        "services": [_service(way, name) for name in ours.all_services()],
        "servers": [_asked(server) for server in servers],
        "files": [_file(path, ledger) for path in files],
        "weights": _weights(store),
        "free_bytes": host.free_bytes(models_dir),
        "made": host.made(),
    }


def _service(way: str, name: str) -> Dict[str, Any]:
    state = manager.manager(way, name).state()
    return {"name": name, "running": state.active, **(since(state.pid) or dict.fromkeys(FIELDS))}


def _asked(server: Mapping[str, Any]) -> Dict[str, Any]:
    endpoint = Endpoint(str(server["url"]), silence_seconds=_ASK_SECONDS)
    told = {"name": server["name"], "url": server["url"], "answers": True, "version": "", "problem": ""}
    nothing: Dict[str, Any] = {"models": [], "resident": []}
    try:
        return {**told, **(_ollama(endpoint) if server["engine"] == "ollama" else _llama_server(endpoint))}
    except EngineProblem as problem:
        return {**told, **nothing, "answers": False, "problem": problem.problem}


def _ollama(endpoint: Endpoint) -> Dict[str, Any]:
    engine = Ollama(endpoint)
    return {
        "version": engine.version(),
        "models": [
            {
                "name": as_text(told.get("name")),
                "digest": as_text(told.get("digest")),
                "size_bytes": as_count(told.get("size")),
            }
            for told in engine.models()
        ],
        "resident": [
            {"name": name, "size_bytes": one.size_bytes, "gpu_share": one.share, "pinned": one.pinned}
            for name, one in engine.residents().items()
        ],
    }


def _llama_server(endpoint: Endpoint) -> Dict[str, Any]:
    """It serves what it has loaded. Its names are not told without its key, its health is."""
    engine = LlamaServer(endpoint)
    if engine.loads(_ASK_SECONDS):
        return {"models": [], "resident": [], "problem": "it is still reading its model"}
    version = engine.version()
    try:
        name = engine.served(None)
    except EngineProblem:
        return {"version": version, "models": [], "resident": []}
    return {
        "version": version,
        "models": [{"name": name, "digest": "", "size_bytes": None}],
        "resident": [{"name": name, "size_bytes": None, "gpu_share": None, "pinned": True}],
    }


def _file(path: str, ledger: Ledger) -> Dict[str, Any]:
    entry = ledger.lookup(path, kind="file")
    return {"path": path, "there": os.path.exists(path), "sha256": entry.sha256 if entry else None}


def _weights(store: str) -> List[Dict[str, str]]:
    """The digests of the weights of all models in Ollama's store."""
    if not store or not os.path.isdir(store):
        return []
    try:
        with Store(store) as opened:
            manifests, _unreadable = opened.manifests()
    except Problem:
        return []
    layers = {str(name): manifest.layer(MODEL) for name, manifest in manifests.items()}
    return [{"name": name, "sha256": layer.digest.partition(":")[2]} for name, layer in layers.items() if layer]
