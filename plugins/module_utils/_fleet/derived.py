# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Entries of C(models_serve) that are made C(from) an earlier one: the same file, with other settings."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.problem import DeclarationProblem

# What says which file it is.
_OF_THE_FILE = ("catalog", "quant", "source", "layout")
# What one server or one name has for itself.
_OWN = ("name", "keep_alive", "host", "port", "replicas", "gpus")


def expanded(entries: Iterable[Any]) -> List[Any]:
    """The entries, each C(from) replaced by what it stands for.

    :raises DeclarationProblem: where no earlier entry has the name, and where the entry names a file of its own.
    """
    found: List[Any] = []
    by_name: Dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        whole = _whole(entry, by_name) if isinstance(entry, Mapping) and entry.get("from") else entry
        found.append(whole)
        if isinstance(whole, Mapping):
            by_name[str(whole.get("name") or whole.get("catalog")).lower()] = whole
    return found


def _whole(entry: Mapping[str, Any], earlier: Mapping[str, Mapping[str, Any]]) -> Dict[str, Any]:
    wanted = str(entry["from"])
    if not entry.get("name"):
        raise DeclarationProblem(f"models_serve: the entry from {wanted} has no name.", "Add `name:`.")
    where = f"models_serve: {entry['name']}"
    base = earlier.get(wanted.lower())
    if base is None:
        there = ", ".join(str(one.get("name") or one.get("catalog")) for one in earlier.values()) or "none"
        raise DeclarationProblem(
            f"{where} is from {wanted}, which is not an earlier entry.", f"Name an earlier entry; there are: {there}."
        )
    twice = [key for key in _OF_THE_FILE if entry.get(key)]
    if twice:
        raise DeclarationProblem(
            f"{where} is from {wanted} and has {', '.join(twice)}, too.",
            "The file is that of the other entry: leave one of the two out.",
        )
    inherited = {key: value for key, value in base.items() if key not in _OWN}
    own = {key: value for key, value in entry.items() if key != "from"}
    if own.get("engine") in (None, base.get("engine")):
        own["parameters"] = {**(base.get("parameters") or {}), **(entry.get("parameters") or {})}
    else:
        # Another engine has other words for them, and keeps the files as it needs them.
        own["parameters"] = dict(entry.get("parameters") or {})
        inherited.pop("layout", None)
    return {**inherited, **own}
