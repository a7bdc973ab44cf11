# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Several instances of one model on a host (C(replicas), C(gpus)): what is declared of them, and how many there are."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.problem import DeclarationProblem
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.quants import Quant
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.together import plan_together
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.demand import MAX

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


def check_cards(models: Sequence[Mapping[str, Any]], by_hand: Sequence[Any] = ()) -> List[str]:
    """Cards that are given to two models, or twice to one; `max` beside servers whose cards nobody plans."""
    owners: Dict[str, str] = {}
    found = [
        f"models_serve: {model['name']}: replicas is max, and llama_cpp_servers are not planned. Give a number."
        for model in models
        if by_hand and model["replicas"] == MAX
    ]
    for model in models:
        for card in model["gpus"]:
            if card in owners:
                whose = "twice" if owners[card] == model["name"] else f"to {owners[card]}, too"
                found.append(f"models_serve: {model['name']}: gpus has the card {card}, which is given {whose}.")
            owners.setdefault(card, model["name"])
    return found


def count_instances(host: Mapping[str, Any], quants: Mapping[str, Sequence[Quant]]) -> Optional[Dict[str, int]]:
    """How many instances `max` means on a host, by the model's name; nothing where its GPUs or a model are not known.

    Args:
        host: of the fleet value, as plain data.
        quants: what is known of each quant, by lock name.
    """
    known = {name: found[0].gguf for name, found in quants.items() if len(found) == 1 and found[0].gguf}
    open_ones = [model["name"] for model in host["models"] if model["replicas"] == MAX]
    if not host["gpus"] or any(model["lock_name"] not in known for model in host["models"]):
        return None
    instances = plan_together(host, known)["instances"]
    return {name: sum(one["model"] == name for one in instances) for name in open_ones}
