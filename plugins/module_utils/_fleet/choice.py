# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Quants that the inventory leaves to the fleet (C(quant: auto)): what was chosen before, what there is to choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.questions import plan_questions
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import Fleet
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import devices_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import model_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import FULL, choose
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.settings import request_of
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem


class ChoiceProblem(Problem):
    """There is nothing to choose from, or somebody to choose for was not asked."""


@dataclass(frozen=True)
class Choice:
    """The quant that was chosen for a name, for which hosts, and whether all of them hold it wholly on their GPUs."""

    name: str
    lock_name: str
    quant: str
    hosts: Tuple[str, ...]
    wholly: bool

    def sentence(self, before: Optional[str]) -> str:
        """What an operator is told; `before` is the quant that the lock file held."""
        hosts = ", ".join(self.hosts)
        if self.wholly:
            verb = "hold" if len(self.hosts) > 1 else "holds"
            why = f"the best quant that {hosts} {verb} wholly on the GPUs"
        else:
            why = f"the smallest quant, since none is held wholly on the GPUs by {hosts}"
        change = f" It was {before} before." if before not in (None, self.quant) else ""
        return f"{self.name}: {self.quant} is {why}.{change}"


def sources_of(fleet: Fleet, hosts: Iterable[str], choices: Mapping[str, str]) -> List[Dict[str, Any]]:
    """The sources of the models of these hosts, each once: C(lock_name), C(source), C(candidates); secrets included.

    :param choices: the quants that were chosen for C(auto), by lock name.
    """
    # The localhost that Ansible adds by itself is in no inventory and serves nothing.
    known = [fleet.hosts[host] for host in hosts if host in fleet.hosts]
    wanted = {model["lock_name"] for host in known for model in host.models}
    found = []
    for each in fleet.sources:
        if each["lock_name"] not in wanted:
            continue
        quant = choices.get(each["lock_name"])
        chosen = {"quant": quant, "pattern": each["candidates"][quant]} if each["candidates"] and quant else {}
        found.append({**each, "source": {**each["source"], **chosen}})
    return found


def chosen_before(fleet: Mapping[str, Any]) -> Dict[str, str]:
    """The quants that the lock file holds for sources with candidates, by lock name; of the value as plain data."""
    return {
        source["lock_name"]: fleet["quants"][source["lock_name"]][0]["name"]
        for source in fleet["sources"]
        if source["candidates"]
        and any(quant["size_bytes"] is not None for quant in fleet["quants"][source["lock_name"]])
    }


def to_choose(fleet: Fleet, hosts: Iterable[str], update: bool = False) -> List[Dict[str, Any]]:
    """The quants whose headers must be read before one can be chosen: C(lock_name), C(quant) and C(source) of each.

    :param update: choose again what was chosen before.
    """
    return [
        {
            "lock_name": source["lock_name"],
            "quant": quant,
            "source": {**source["source"], "quant": quant, "pattern": pattern},
        }
        for source in sources_of(fleet, hosts, {})
        if update or all(quant.size_bytes is None for quant in fleet.quants[source["lock_name"]])
        for quant, pattern in source["candidates"].items()
    ]


def hosts_serving(fleet: Mapping[str, Any], lock_names: Iterable[str], asked: Optional[bool] = None) -> List[str]:
    """The hosts of the whole inventory that serve one of these.

    :param asked: only those that reported their GPUs, in this run or in one before, or only those that did not.
    """
    wanted = set(lock_names)
    return [
        name
        for name, host in fleet["hosts"].items()
        if any(model["lock_name"] in wanted for model in host["models"])
        and asked in (None, host["asked_gpus"] is not None)
    ]


def lock_names_to_choose(host: Mapping[str, Any], fleet: Mapping[str, Any], update: bool = False) -> List[str]:
    """The lock names of a host's models whose quant is chosen in this run; of the value as plain data."""
    pinned = {} if update else chosen_before(fleet)
    left_to_us = {source["lock_name"] for source in fleet["sources"] if source["candidates"]} - set(pinned)
    return [model["lock_name"] for model in host["models"] if model["lock_name"] in left_to_us]


def choices(
    fleet: Fleet, candidates: Iterable[Mapping[str, Any]], facts: Mapping[Tuple[str, str], Mapping[str, Any]]
) -> List[Choice]:
    """The best quant that every host serving it holds wholly on its GPUs; else the smallest.

    Args:
        fleet: with what the hosts reported, in this run or in one before.
        candidates: as :func:`to_choose` gives them.
        facts: of the headers, by lock name and quant, of those that the hubs have.

    Raises:
        ChoiceProblem: where a host that serves one of them was never asked for its GPUs.
        Problem: for settings that cannot be read.
    """
    by_lock: Dict[str, List[Dict[str, Any]]] = {}
    for one in candidates:
        known = by_lock.setdefault(one["lock_name"], [])
        if (one["lock_name"], one["quant"]) in facts:
            known.append({"quant": one["quant"], "gguf": facts[one["lock_name"], one["quant"]]})
    value = fleet.as_dict()
    questions = plan_questions(value, hosts_serving(value, by_lock), by_lock)
    return _one_for_each_lock([_choice(question) for question in questions], by_lock)


def unasked_hosts(fleet: Fleet, candidates: Iterable[Mapping[str, Any]]) -> List[str]:
    """The hosts that serve one of these and were never asked for their GPUs."""
    return hosts_serving(fleet.as_dict(), [one["lock_name"] for one in candidates], asked=False)


def _choice(question: Mapping[str, Any]) -> Choice:
    asked = [(one["quant"], model_from_facts(one["gguf"])) for one in question["candidates"]]
    hosts = {
        host["name"]: (
            devices_from_facts(host["gpus"], host["only"]),
            request_of(
                host["engine"],
                host["engine_version"],
                host["parameters"],
                host["environment"],
                {"ram_bytes": host["ram_bytes"]},
            ),
        )
        for host in question["hosts"]
    }
    quant, plans = choose(asked, hosts)
    wholly = all(plan.mode == FULL for plan in plans.values())
    return Choice(question["name"], question["lock_name"], quant, tuple(hosts), wholly)


def _one_for_each_lock(found: Iterable[Choice], candidates: Mapping[str, List[Dict[str, Any]]]) -> List[Choice]:
    """Of names that share a lock, the one whose hosts hold least decides."""
    chosen: Dict[str, Choice] = {}
    for choice in found:
        order = [one["quant"] for one in candidates[choice.lock_name]]
        other = chosen.get(choice.lock_name)
        if other is None or order.index(choice.quant) > order.index(other.quant):
            chosen[choice.lock_name] = choice
    return list(chosen.values())
