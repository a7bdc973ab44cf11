# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What C(models_serve) declares, checked and completed from the catalog before any host is touched."""

from __future__ import annotations

import difflib
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.problem import DeclarationProblem
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.replicas import gpus_of, replicas_of
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.server_secrets import split

ENGINES = ("ollama", "llama_cpp")
AUTO = "auto"
LAYOUT_OF_ENGINE = {"ollama": "merged", "llama_cpp": "shards"}

_ENTRY_KEYS = (
    "name",
    "catalog",
    "quant",
    "source",
    "engine",
    "layout",
    "template",
    "template_file",
    "from",
    "system",
    "parameters",
    "messages",
    "license",
    "keep_alive",
    "host",
    "port",
    "replicas",
    "gpus",
)
_SOURCE_KEYS = ("hub", "repo", "revision", "endpoint", "quant", "pattern", "urls", "path", "controller", "sha256")


def declare(
    entries: Iterable[Mapping[str, Any]], catalog: Mapping[str, Mapping[str, Any]], *, engine: str = "ollama"
) -> List[Dict[str, Any]]:
    """Checks the entries of C(models_serve) and completes each from the catalog.

    :param entries: the declared models, in the order in which they are served.
    :param catalog: known models by catalog name: C(hub), C(repo), C(quants), C(template), C(parameters) by engine.
    :param engine: the engine of entries that name none.
    :returns: plain dicts with every key of an entry, C(source) complete, C(lock_name), the key of its lock, and
        C(candidates), patterns by quant, where the quant is left to the fleet (C(auto)).
    :raises DeclarationProblem: for an entry that is incomplete, contradictory or misspelt.
    """
    declared, problems = declare_all(entries, catalog, engine=engine)
    if problems:
        raise problems[0]
    return declared


def declare_all(
    entries: Iterable[Mapping[str, Any]], catalog: Mapping[str, Mapping[str, Any]], *, engine: str = "ollama"
) -> Tuple[List[Dict[str, Any]], List[DeclarationProblem]]:
    """The same, with every entry that is wrong instead of the first: the models that are right, and the problems."""
    declared: List[Dict[str, Any]] = []
    problems: List[DeclarationProblem] = []
    seen: Dict[str, str] = {}
    for position, entry in enumerate(entries, start=1):
        try:
            model = _declare_one(entry, position, catalog, engine)
        except DeclarationProblem as problem:
            problems.append(problem)
            continue
        # Ollama matches names without regard to case, so two that differ only there would be one model.
        key = model["name"].lower()
        if key in seen:
            problems.append(
                DeclarationProblem(
                    f"models_serve names {model['name']!r} twice ({seen[key]!r} is the same name).",
                    "Give each model a name of its own.",
                )
            )
            continue
        seen[key] = model["name"]
        declared.append(model)
    return declared, problems


def sources(
    entries: Iterable[Mapping[str, Any]],
    catalog: Mapping[str, Mapping[str, Any]],
    choices: Optional[Mapping[str, str]] = None,
) -> List[Dict[str, Any]]:
    """Sources of a whole fleet, each once, in the order in which they are first declared.

    :param entries: the entries of C(models_serve) of every host, one after the other.
    :param catalog: as for :func:`declare`.
    :param choices: the quants that were chosen for C(auto), by lock name.
    :returns: dicts with C(lock_name), C(source) and C(candidates).
    :raises DeclarationProblem: also where two hosts mean different files by one name, or fetch one quant differently.
    """
    by_lock: Dict[str, Dict[str, Any]] = {}
    lock_of_name: Dict[str, str] = {}
    for entry in entries:
        (model,) = declare([entry], catalog)
        name, lock_name = model["name"], model["lock_name"]
        if lock_of_name.setdefault(name.lower(), lock_name) != lock_name:
            raise DeclarationProblem(
                f"models_serve: {name} is {lock_of_name[name.lower()]} on one host and {lock_name} on another.",
                "One name means one quant in a fleet: give the second one a name of its own.",
            )
        source, candidates = model["source"], model["candidates"]
        if candidates and lock_name in (choices or {}):
            quant = (choices or {})[lock_name]
            source = {**source, "quant": quant, "pattern": candidates[quant]}
        known = by_lock.setdefault(lock_name, {"lock_name": lock_name, "source": source, "candidates": candidates})
        if known["source"] != source:
            raise DeclarationProblem(
                f"models_serve: {lock_name} is declared with two different sources.",
                "Give every entry of this quant the same hub, revision, endpoint and pattern.",
            )
    return list(by_lock.values())


def _declare_one(
    entry: Mapping[str, Any], position: int, catalog: Mapping[str, Mapping[str, Any]], engine: str
) -> Dict[str, Any]:
    name = entry.get("name") or entry.get("catalog")
    if not name:
        raise DeclarationProblem(
            f"Entry {position} of models_serve has no name.", "Add `name:`, the name that clients ask for."
        )
    where = f"models_serve: {name}"
    _refuse_unknown(entry, _ENTRY_KEYS, where)
    chosen = entry.get("engine") or engine
    if chosen not in ENGINES:
        raise DeclarationProblem(f"{where}: there is no engine {chosen!r}.", f"Use one of {', '.join(ENGINES)}.")
    known = _known_model(entry, catalog, where)
    source = _source(entry, known, where)
    automatic = source["quant"] == AUTO
    files = source["quant"] or source["pattern"] or name
    parameters = {**(known.get("parameters") or {}).get(chosen, {}), **(entry.get("parameters") or {})}
    if chosen == "llama_cpp":
        # What is declared here is looped over, and so printed: keys come in again where the servers are made.
        parameters, _secret = split(where, parameters)
    return {
        "name": str(name),
        "engine": chosen,
        "layout": entry.get("layout") or LAYOUT_OF_ENGINE[chosen],
        "source": source,
        "lock_name": f"{name}:{AUTO}" if automatic else "{}:{}".format(source["repo"] or "files", files),
        "candidates": {quant: facts.get("pattern") for quant, facts in known["quants"].items()} if automatic else {},
        "template": entry.get("template", known.get("template")),
        "system": entry.get("system"),
        "parameters": parameters,
        "messages": entry.get("messages") or [],
        "license": entry.get("license"),
        "keep_alive": entry.get("keep_alive"),
        "host": entry.get("host"),
        "port": entry.get("port"),
        "replicas": replicas_of(entry, where),
        "gpus": gpus_of(entry, where),
    }


def _known_model(entry: Mapping[str, Any], catalog: Mapping[str, Mapping[str, Any]], where: str) -> Mapping[str, Any]:
    wanted = entry.get("catalog")
    if not wanted:
        return {}
    if wanted not in catalog:
        raise DeclarationProblem(
            f"{where}: the catalog has no {wanted!r}.{_did_you_mean(wanted, catalog)}",
            f"It has {', '.join(sorted(catalog))}; for another model give `source:` with `repo:` and `quant:`.",
        )
    return catalog[wanted]


def _source(entry: Mapping[str, Any], known: Mapping[str, Any], where: str) -> Dict[str, Any]:
    given = entry.get("source") or {}
    _refuse_unknown(given, _SOURCE_KEYS, f"{where}: source")
    source: Dict[str, Any] = {
        "hub": given.get("hub") or known.get("hub") or "modelscope",
        "repo": given.get("repo") or known.get("repo"),
        "revision": given.get("revision") or known.get("revision"),
        "endpoint": given.get("endpoint") or known.get("endpoint"),
        "urls": given.get("urls") or [],
        "path": given.get("path"),
        "controller": given.get("controller"),
        "sha256": given.get("sha256") or {},
        "quant": given.get("quant") or entry.get("quant"),
        "pattern": given.get("pattern"),
    }
    if not (source["repo"] or source["urls"] or source["path"] or source["controller"]):
        raise DeclarationProblem(
            f"{where}: it does not say where the files come from.",
            "Give `catalog:` with a `quant:`, or `source:` with `repo:` (or `urls:`, `path:`, or `controller:`).",
        )
    if source["controller"] and (source["hub"] != "path" or source["path"]):
        raise DeclarationProblem(
            f"{where}: source: controller cannot stand beside path or with another hub.",
            "For files that the controller sends give `hub: path` and `controller:` alone.",
        )
    if source["hub"] == "path" and source["path"] and not str(source["path"]).startswith("/"):
        raise DeclarationProblem(
            f"{where}: source: path is {source['path']}, which does not begin with /.",
            "It is a folder on the hosts: give its whole path, beginning with /.",
        )
    quants = known.get("quants") or {}
    if str(source["quant"]).lower() == AUTO:
        return _left_to_the_fleet(source, known, where)
    if quants and not source["pattern"] and not source["urls"] and source["repo"] == known.get("repo"):
        quant = _known_quant(source["quant"], quants, where)
        source["quant"], source["pattern"] = quant, quants[quant].get("pattern")
    return source


def _left_to_the_fleet(source: Dict[str, Any], known: Mapping[str, Any], where: str) -> Dict[str, Any]:
    """One of the catalog's quants, chosen once for all hosts that serve the name."""
    if not known.get("quants") or source["pattern"] or source["urls"] or source["repo"] != known.get("repo"):
        raise DeclarationProblem(
            f"{where}: the quant `auto` is chosen among those of the catalog, and this model has none there.",
            "Set `quant:` to the name of one, or make an entry with its quants, the best first, in models_catalog.",
        )
    return {**source, "quant": AUTO}


def _known_quant(wanted: Optional[str], quants: Mapping[str, Mapping[str, Any]], where: str) -> str:
    if wanted is None and len(quants) == 1:
        return next(iter(quants))
    for quant, facts in quants.items():
        if wanted is not None and wanted.lower() in (
            quant.lower(),
            *(alias.lower() for alias in facts.get("aliases", [])),
        ):
            return quant
    problem = f"{where}: no quant is named." if wanted is None else f"{where}: the catalog knows no quant {wanted!r}."
    raise DeclarationProblem(problem, f"Set `quant:` to one of: {_listed(quants)}.")


def _listed(quants: Mapping[str, Mapping[str, Any]]) -> str:
    return "; ".join(", ".join([quant, *facts.get("aliases", [])]) for quant, facts in quants.items())


def _refuse_unknown(given: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise DeclarationProblem(
                f"{where}: there is no setting {key!r}.{_did_you_mean(key, known)}", f"Known are {', '.join(known)}."
            )


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
