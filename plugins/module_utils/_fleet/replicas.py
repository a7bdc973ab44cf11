# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Several instances of one model on a host (C(replicas), C(gpus)): what is declared of them, and how many there are."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.problem import DeclarationProblem
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.quants import Quant
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.servers import on_own_cards
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.together import plan_together
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import OLLAMA, Host
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.variables import Variables
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.demand import MAX
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

_MOST = 64


def replicas_of(entry: Mapping[str, Any], where: str) -> Union[int, str, None]:
    """What an entry of models_serve says: a number, MAX, or None for a model without instances of its own."""
    given = entry.get("replicas")
    if given is None or given == MAX:
        return given
    try:
        number = int(str(given))
    except ValueError:
        number = 0
    if not 1 <= number <= _MOST:
        raise DeclarationProblem(
            f"{where}: replicas is {given!r}.",
            f"Give a number from 1 to {_MOST}, or max for what the cards hold.",
        )
    return number


def gpus_of(entry: Mapping[str, Any], where: str) -> List[str]:
    """The cards of an entry alone, by indices or UUIDs."""
    given = [] if entry.get("gpus") is None else entry["gpus"]
    if not isinstance(given, (list, tuple)):
        raise DeclarationProblem(f"{where}: gpus is {given!r}.", "Give a list of indices or UUIDs.")
    return [str(card) for card in given]


def on_one_server(entries: Sequence[Any]) -> List[Any]:
    """The entries of models_serve as if none had instances or cards of its own: one server of Ollama has them all."""
    apart = ("replicas", "gpus")
    return [
        {key: value for key, value in entry.items() if key not in apart} if isinstance(entry, Mapping) else entry
        for entry in entries
    ]


def check_cards(models: Sequence[Mapping[str, Any]], variables: Variables) -> List[str]:
    """Cards that are given to two models, twice to one, or to Ollama, too; `max` beside servers that nobody plans."""
    by_hand = variables["llama_cpp_servers"]
    owners = {str(card): "Ollama (ollama_gpus)" for card in variables["ollama_gpus"]}
    found = [
        f"models_serve: {model['name']}: replicas is max, and llama_cpp_servers are not planned. Give a number."
        for model in models
        if by_hand and model["replicas"] == MAX
    ]
    for model in models:
        for card in model["gpus"] if model["engine"] != OLLAMA or not variables["ollama_gpus"] else ():
            if card in owners:
                whose = "twice" if owners[card] == model["name"] else f"to {owners[card]}, too"
                found.append(f"models_serve: {model['name']}: gpus has the card {card}, which is given {whose}.")
            owners.setdefault(card, model["name"])
    return found


def needs_plan(host: Host) -> bool:
    """Whether it takes the host's plan to say which servers it has, or which cards they see."""
    by_ollama = [model for model in host.models if model["engine"] == OLLAMA]
    own = [model for model in host.models if on_own_cards(model)]
    return any(model["replicas"] == MAX for model in own) or bool(own and by_ollama)


def plan_instances(host: Host, quants: Mapping[str, Sequence[Quant]], *, refuse: bool) -> Tuple[Dict[str, Any], str]:
    """The plan of a host whose instances are not all said by the inventory, or why there is none yet.

    Args:
        host: of the fleet value.
        quants: what is known of each quant, by lock name.
        refuse: whether cards that are not enough are for the caller to refuse; otherwise they are not known.

    Raises:
        Problem: with `refuse`, as `plan_together`.
    """
    known = {name: found[0].gguf for name, found in quants.items() if len(found) == 1 and found[0].gguf}
    missing = [model["name"] for model in host.models if model["lock_name"] not in known]
    if missing:
        return {}, f"the size of {missing[0]} is not known before its lock is resolved"
    if not host.gpus and host.asked_gpus is None:
        return {}, "its GPUs are not known: it was never asked for them, and fleet_gpus is empty"
    if not host.gpus and any(model["replicas"] == MAX for model in host.models):
        return {}, "replicas is max, and it has no GPUs"
    try:
        plan = plan_together(host.as_dict(), known)
    except Problem as problem:
        if refuse:
            raise
        return {}, problem.problem
    short = [] if refuse else too_many(host.models, plan)
    return ({}, short[0]) if short else (plan, "")


def too_many(models: Sequence[Mapping[str, Any]], plan: Mapping[str, Any]) -> List[str]:
    """Why the cards are not enough for the instances of Ollama's models, whose servers cannot do without theirs."""
    own = [model["name"] for model in models if model["engine"] == OLLAMA and on_own_cards(model)]
    return [f"models_serve: {own[0]}: {plan['short_of_cards']}"] if own and plan["short_of_cards"] else []
