# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The running fleet beside what is declared and locked, as one value, and as a table."""

from __future__ import annotations

import posixpath
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import full_name
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.files import destination
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.sources import resolve_entry
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import RPC_SERVER
from ansible_collections.gguf.fleet.plugins.module_utils._host.sizes import shown_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import difference
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import Request
from ansible_collections.gguf.fleet.plugins.module_utils._report.grid import grid, sentence
from ansible_collections.gguf.fleet.plugins.module_utils._report.leftovers import declared_services
from ansible_collections.gguf.fleet.plugins.module_utils._service.uptime import FIELDS

_DIGEST_CHARACTERS = 12
_HEADINGS = ("host", "engine", "health", "uptime", "model", "quant", "digest", "in memory", "disk", "drift")


def questions(host: Mapping[str, Any], locks: Mapping[str, Any]) -> Dict[str, Any]:
    """The options of host_status for a host of the fleet value."""
    asked = [server for server in host["servers"] if server["name"] != RPC_SERVER]
    files = [path for model in host["models"] for path in _paths(model, locks, host["models_dir"])]
    return {
        "servers": [{key: server[key] for key in ("name", "engine", "url")} for server in asked],
        "files": list(dict.fromkeys(files)),
        "models_dir": host["models_dir"],
        "store": host["ollama"]["store"] or "",
    }


def status(
    names: Sequence[str], fleet: Mapping[str, Any], locks: Mapping[str, Any], answers: Mapping[str, Mapping[str, Any]]
) -> Dict[str, Any]:
    """The state of the fleet.

    Args:
        names: the hosts that were asked.
        fleet: the fleet value, as plain data.
        locks: of the lock files, by lock name.
        answers: what host_status told, by host; without `services` where it could not be asked.

    Returns:
        hosts, by name: reachable, problem, free_bytes, servers (name, engine, url, version, declared_version, health,
        pid, started_at, uptime_seconds), models (name, engine, servers, quant, declared, present, digest, size_bytes,
        resident, gpu_share, drift), drift (of the host) and left_over (files and services that nothing declares).
    """
    return {"hosts": {name: _host(fleet["hosts"][name], locks, answers.get(name) or {}) for name in names}}


def lines(state: Mapping[str, Any]) -> List[str]:
    """The table: a line for each model, and below it what is not as declared, each in a sentence."""
    rows: List[Sequence[str]] = [_HEADINGS]
    notes: List[str] = []
    for name, host in state["hosts"].items():
        rows += _rows(name, host)
        notes += [sentence(f"{name}: {text}") for text in _sentences(host)]
    return [*grid(rows), *notes] if notes else [*grid(rows), "Everything is as declared."]


def _host(host: Mapping[str, Any], locks: Mapping[str, Any], told: Mapping[str, Any]) -> Dict[str, Any]:
    if "services" not in told:
        why = sentence(str(told.get("msg") or "it was not asked"))
        nothing: Dict[str, Any] = {"servers": [], "models": [], "drift": [], "left_over": []}
        return {"reachable": not told.get("unreachable", False), "problem": why, "free_bytes": None, **nothing}
    by_name = {one["name"]: one for one in told["servers"]}
    processes = {one["name"]: one for one in told["services"]}
    servers = [
        _server(server, host, by_name[server["name"]], processes.get(server["name"]) or {})
        for server in host["servers"]
        if server["name"] in by_name
    ]
    models = [_declared(model, host, locks, told) for model in host["models"]]
    models += _undeclared(host, told)
    return {
        "reachable": True,
        "problem": "",
        "free_bytes": told["free_bytes"],
        "servers": servers,
        "models": models,
        "drift": [text for server in servers for text in _of_server(server)],
        "left_over": _left_over(host, locks, told),
    }


def _server(
    server: Mapping[str, Any], host: Mapping[str, Any], told: Mapping[str, Any], process: Mapping[str, Any]
) -> Dict[str, Any]:
    return {
        "name": server["name"],
        "engine": server["engine"],
        "url": server["url"],
        "version": told["version"],
        "declared_version": host["engines"][server["engine"]]["version"],
        "health": "silent" if not told["answers"] else "loading" if told["problem"] else "ok",
        "problem": told["problem"],
        **{key: process.get(key) for key in FIELDS},
    }


def _of_server(server: Mapping[str, Any]) -> Iterator[str]:
    if server["health"] != "ok":
        yield f"{server['name']} does not serve: {server['problem']}"
    running, wanted = server["version"], server["declared_version"]
    # llama-server tells its commit behind the build.
    if running and wanted and running != wanted and not running.startswith(f"{wanted}-"):
        yield f"{server['name']} runs {running}, and {wanted} is declared."


def _declared(
    model: Mapping[str, Any], host: Mapping[str, Any], locks: Mapping[str, Any], told: Mapping[str, Any]
) -> Dict[str, Any]:
    serving = [server["name"] for server in host["servers"] if model["name"] in server["models"]]
    answers = [one for one in told["servers"] if one["name"] in serving]
    listed = _named(model["name"], [one for answer in answers for one in answer["models"]])
    resident = _named(model["name"], [one for answer in answers for one in answer["resident"]])
    lock = locks.get(model["lock_name"])
    present = listed is not None or (model["engine"] != "ollama" and any(one["answers"] for one in answers))
    found = {
        "name": model["name"],
        "engine": model["engine"],
        "servers": serving,
        "quant": lock["quant"] if lock else str(model["source"].get("quant") or ""),
        "declared": True,
        "present": present,
        "digest": _running_digest(model, host, lock, told),
        "size_bytes": listed["size_bytes"] if listed else None,
        "resident": resident is not None,
        "gpu_share": resident["gpu_share"] if resident else None,
    }
    return {**found, "drift": _drift(model, host, lock, told, found)}


def _drift(
    model: Mapping[str, Any],
    host: Mapping[str, Any],
    lock: Optional[Mapping[str, Any]],
    told: Mapping[str, Any],
    found: Mapping[str, Any],
) -> List[str]:
    drift = []
    if not found["present"] and any(one["answers"] for one in told["servers"] if one["name"] in found["servers"]):
        drift.append("it is declared and not there")
    if lock is None:
        return [*drift, "it has no lock yet"]
    other = _other_source(model, lock)
    if other:
        drift.append(f"its source is not the one of the lock: {other}")
    wanted = _locked_digest(model, lock)
    if wanted and found["digest"] and wanted != found["digest"]:
        drift.append(
            f"its weights are {found['digest'][:_DIGEST_CHARACTERS]}, the lock says {wanted[:_DIGEST_CHARACTERS]}"
        )
    paths = set(_paths(model, {model["lock_name"]: lock}, host["models_dir"]))
    # Ollama has a name of its own for the file.
    gone = [one["path"] for one in told["files"] if one["path"] in paths and not one["there"]]
    if gone and (model["engine"] != "ollama" or not found["present"]):
        drift.append(f"{gone[0]} is missing")
    return drift


def _other_source(model: Mapping[str, Any], lock: Mapping[str, Any]) -> str:
    """What the inventory says of a model's source and the lock does not; empty where they agree."""
    source = resolve_entry(model["lock_name"], model["source"], "")["source"]
    if model["candidates"]:
        # The lock tells which of them was chosen.
        source.pop("quant", None)
    try:
        return difference(lock, Request(**source)) or ""
    except HubProblem as problem:
        return problem.problem


def _locked_digest(model: Mapping[str, Any], lock: Mapping[str, Any]) -> Optional[str]:
    """Of the one file that is served; None for shards, and for a merged file that nobody sealed yet."""
    if model["layout"] != "merged":
        return None
    found = lock["files"][0]["sha256"] if len(lock["files"]) == 1 else lock["merged"].get("sha256")
    return str(found) if found else None


def _running_digest(
    model: Mapping[str, Any], host: Mapping[str, Any], lock: Optional[Mapping[str, Any]], told: Mapping[str, Any]
) -> str:
    """Of the weights: as Ollama's store names them, else as the file was proved."""
    if model["engine"] == "ollama":
        weights = _named(model["name"], told["weights"])
        return str(weights["sha256"]) if weights else ""
    paths = _paths(model, {model["lock_name"]: lock}, host["models_dir"]) if lock else []
    proved = {one["path"]: one["sha256"] for one in told["files"]}
    return str(proved.get(paths[0]) or "") if paths else ""


def _undeclared(host: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[Dict[str, Any]]:
    engines = {server["name"]: server["engine"] for server in host["servers"]}
    declared = {full_name(name) for server in host["servers"] for name in server["models"]}
    declared |= {full_name(model["name"]) for model in host["models"]}
    weights = {full_name(one["name"]): one["sha256"] for one in told["weights"]}
    seen = set()
    for answer in told["servers"]:
        for one in answer["models"]:
            name = full_name(one["name"])
            if name in declared or name in seen:
                continue
            seen.add(name)
            resident = _named(one["name"], answer["resident"])
            yield {
                "name": one["name"],
                "engine": engines[answer["name"]],
                "servers": [answer["name"]],
                "quant": "",
                "declared": False,
                "present": True,
                "digest": weights.get(name, ""),
                "size_bytes": one["size_bytes"],
                "resident": resident is not None,
                "gpu_share": resident["gpu_share"] if resident else None,
                "drift": ["it is not declared"],
            }


def _left_over(host: Mapping[str, Any], locks: Mapping[str, Any], told: Mapping[str, Any]) -> List[str]:
    needed = {path for model in host["models"] for path in _paths(model, locks, host["models_dir"])}
    found = [
        f"{one['path']}, {shown_bytes(one['size_bytes'])}, belongs to no declared model"
        for one in told["made"]["files"]
        if one["path"] not in needed
    ]
    declared = declared_services(host)
    for service in told["services"]:
        if service["name"] not in declared:
            state = "runs" if service["running"] else "is there"
            found.append(f"the service {service['name']} {state} and is not declared")
    return found


def _paths(model: Mapping[str, Any], locks: Mapping[str, Any], models_dir: str) -> List[str]:
    """The verified files of a model; none as long as it has no lock."""
    lock = locks.get(model["lock_name"])
    if lock is None:
        return []
    dest = destination(lock, model["layout"], models_dir)
    if model["layout"] == "merged":
        return [dest]
    return [posixpath.join(dest, posixpath.basename(file["path"])) for file in lock["files"]]


def _named(name: str, told: Sequence[Mapping[str, Any]]) -> Optional[Mapping[str, Any]]:
    wanted = full_name(name)
    return next((one for one in told if full_name(str(one["name"])) == wanted), None)


def _rows(name: str, host: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    disk = "" if host["free_bytes"] is None else f"{shown_bytes(host['free_bytes'])} free"
    if host["problem"]:
        yield (name, "-", "not asked" if host["reachable"] else "UNREACHABLE", "", "-", "", "", "", "", "")
        return
    servers = {server["name"]: server for server in host["servers"]}
    told = False
    for model in host["models"]:
        server = next((servers[one] for one in model["servers"] if one in servers), None)
        yield (
            "" if told else name,
            f"{model['engine']} {server['version'] if server else ''}".strip(),
            server["health"] if server else "no server",
            _uptime(server["uptime_seconds"]) if server else "",
            model["name"] if model["present"] else f"{model['name']} (missing)",
            model["quant"] if model["declared"] else "undeclared",
            model["digest"][:_DIGEST_CHARACTERS],
            _in_memory(model),
            "" if told else disk,
            "yes" if model["drift"] else "",
        )
        told = True
    named = {one for model in host["models"] for one in model["servers"]}
    for server in host["servers"]:
        if server["name"] not in named:
            engine = f"{server['engine']} {server['version']}".strip()
            uptime = _uptime(server["uptime_seconds"])
            yield ("" if told else name, engine, server["health"], uptime, "-", "", "", "", "" if told else disk, "")
            told = True
    if not told:
        yield (name, "none", "-", "", "-", "", "", "", disk, "")


def _uptime(seconds: Optional[int]) -> str:
    """In the two largest units: 3 d 4 h. Empty where nothing runs."""
    if seconds is None:
        return ""
    for unit, length, below, less in (("d", 86400, "h", 3600), ("h", 3600, "min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} {seconds % length // less} {below}"
    return f"{seconds // 60} min" if seconds >= 60 else f"{seconds} s"


def _in_memory(model: Mapping[str, Any]) -> str:
    if not model["resident"]:
        return "no"
    return "yes" if model["gpu_share"] is None else f"yes, {model['gpu_share']:.0%} on GPUs"


def _sentences(host: Mapping[str, Any]) -> Iterator[str]:
    if host["problem"]:
        yield host["problem"]
    yield from host["drift"]
    for model in host["models"]:
        for text in model["drift"]:
            yield f"{model['name']}: {text}."
    for text in host["left_over"]:
        yield f"{text}."
