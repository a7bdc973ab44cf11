# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The sources of a fleet in the words of gguf_resolve. They hold secrets, which the fleet value does not."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.choice import sources_of
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import Fleet


def resolve_entry(name: str, source: Mapping[str, Any], token: str) -> Dict[str, Any]:
    """One of C(sources) of gguf_resolve: what the declaration leaves empty is left to the module's defaults."""
    told = {key: value for key, value in source.items() if value}
    if "controller" in told:
        # Where it is resolved, it is a folder like others.
        told["path"] = told.pop("controller")
    if "pattern" in told:
        # The quant is our name of it, then.
        told.pop("quant", None)
    return {"name": name, "source": {**told, **({"token": token} if token else {})}}


def resolve_entries(
    fleet: Fleet,
    hosts: Iterable[str],
    choices: Mapping[str, str],
    tokens: Mapping[str, str],
    seals: Optional[Mapping[str, Mapping[str, Any]]] = None,
    *,
    read: Optional[Mapping[str, Mapping[str, Any]]] = None,
) -> List[Dict[str, Any]]:
    """C(sources) of gguf_resolve: the sources of the models of these hosts, each once.

    :param choices: the quants that were chosen for C(auto), by lock name.
    :param tokens: the access tokens by hub; C(default) is for hubs that are not named.
    :param seals: what gguf_seal returned, by lock name.
    :param read: the locks of files that lie on hosts, as these read them, by lock name.
    """
    found = []
    for each in sources_of(fleet, hosts, choices):
        entry = resolve_entry(each["lock_name"], each["source"], token_of(each["source"]["hub"], tokens))
        more = {"seal": (seals or {}).get(each["lock_name"]), "lock": (read or {}).get(each["lock_name"])}
        found.append({**entry, **{key: value for key, value in more.items() if value}})
    return found


def entries_on_host(host: Mapping[str, Any], fleet: Mapping[str, Any], update: bool = False) -> List[Dict[str, Any]]:
    """C(sources) of gguf_resolve on a host: those whose files lie there and that no lock pins; of plain data.

    :param update: read also what is pinned.
    """
    served = {model["lock_name"] for model in host["models"]}
    return [
        resolve_entry(each["lock_name"], each["source"], "")
        for each in fleet["sources"]
        if each["lock_name"] in served
        and each["source"]["hub"] == "path"
        and not each["source"]["controller"]
        and (update or all(quant["size_bytes"] is None for quant in fleet["quants"][each["lock_name"]]))
    ]


def read_on_hosts(hosts: Iterable[str], variables: Mapping[str, Mapping[str, Any]]) -> Dict[str, Mapping[str, Any]]:
    """The locks that hosts read of files of their own, by lock name; of several hosts the first one's."""
    found: Dict[str, Mapping[str, Any]] = {}
    for host in hosts:
        told = variables[host].get("__models_read") or {}
        found = {**(told.get("locks") or {}), **found}
    return found


def token_of(hub: str, tokens: Mapping[str, str]) -> str:
    """The access token for a hub, empty for none."""
    return str(tokens.get(hub, tokens.get("default", "")) or "")
