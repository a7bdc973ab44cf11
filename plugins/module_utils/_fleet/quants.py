# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What is known of a declared quant before it is fetched: its lock's files and header facts, else the catalog's."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence

GIB = 2**30
AUTO_LOCK = ":auto"


@dataclass(frozen=True)
class Quant:
    """One quant.

    name: of the quant. size_bytes: of its files by the lock, None without one. gguf: facts for gguf_plan, None where
    neither a lock nor the catalog tells them.
    """

    name: str
    size_bytes: Optional[int]
    gguf: Optional[Mapping[str, Any]]

    def as_dict(self) -> Dict[str, Any]:
        return {"name": self.name, "size_bytes": self.size_bytes, "gguf": dict(self.gguf) if self.gguf else None}


def known_quants(
    sources: Sequence[Mapping[str, Any]], catalog: Mapping[str, Any], locks: Mapping[str, Any]
) -> Dict[str, Sequence[Quant]]:
    """By lock name: the quant that is declared or was chosen before; else those to choose from, the best first."""
    found: Dict[str, Sequence[Quant]] = {}
    for each in sources:
        lock_name, source, lock = each["lock_name"], each["source"], locks.get(each["lock_name"])
        name = _locked_name(each, lock) if lock else None
        if lock and name:
            size_bytes = sum(file["size_bytes"] for file in lock["files"])
            found[lock_name] = (Quant(name, size_bytes, lock.get("gguf")),)
        elif each["candidates"]:
            choice = (Quant(quant, None, _facts(source["repo"], quant, catalog)) for quant in each["candidates"])
            found[lock_name] = tuple(quant for quant in choice if quant.gguf)
        else:
            facts = _facts(source["repo"], source["quant"], catalog)
            found[lock_name] = (Quant(str(source["quant"] or lock_name), None, facts),)
    return found


def _locked_name(each: Mapping[str, Any], lock: Mapping[str, Any]) -> Optional[str]:
    """Of several candidates the lock's files tell which one was chosen; None for one that is offered no more."""
    if not each["candidates"]:
        return str(lock.get("quant") or each["source"]["quant"] or each["lock_name"])
    first = lock["files"][0]["path"]
    return next((name for name, pattern in each["candidates"].items() if fnmatch.fnmatchcase(first, pattern)), None)


def _facts(repo: Optional[str], quant: Optional[str], catalog: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    for entry in catalog.values():
        known = (entry.get("quants") or {}).get(quant)
        if known is None or entry.get("repo") != repo or not entry.get("facts"):
            continue
        size = known.get("size_gib") or known.get("published_gb")
        if size:
            # Publishers write GB and mean GiB: 131 GB is 130.60 GiB.
            name = f"{entry['repo'].rpartition('/')[2]} {quant}"
            return {**entry["facts"], "name": name, "size_bytes": int(size * GIB)}
    return None
