# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The Ollama servers of a host: one, or one an instance where models have replicas or cards of their own.

They run one release and share one store. The first server listens on OLLAMA_HOST and holds the models without replicas
beside its own instance; it alone prunes the store when it starts. The others listen on the ports behind it.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.listen import Listen
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.problem import DeclarationProblem
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.servers import (
    count_of,
    counts_of,
    on_own_cards,
    visible_cards,
)
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import OLLAMA, Server
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.demand import instance_name
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.duration import parse_duration

NO_PRUNE = "OLLAMA_NOPRUNE"
_LAST_PORT = 65535


def has_instances(models: Sequence[Mapping[str, Any]]) -> bool:
    """Whether some of these models run on servers of their own."""
    return any(on_own_cards(model) for model in models)


def ollama_servers(
    models: Sequence[Mapping[str, Any]],
    listen: Listen,
    planned: Optional[Mapping[str, Any]] = None,
) -> Tuple[Server, ...]:
    """The servers, the first one first.

    Args:
        models: those that Ollama serves on the host, as `declare` completes them.
        listen: where the first server listens.
        planned: the plan of the host (`plan_together`); None where it is not known yet.

    Raises:
        DeclarationProblem: for a port that there is not.
    """
    cards: Dict[str, Any] = {one["name"]: one["gpus"] for one in (planned or {}).get("instances") or []}
    found: List[Tuple[str, Tuple[str, ...], Optional[Sequence[str]]]] = []
    for name, number in _instances(models, planned):
        instance = instance_name(name, number)
        found.append((instance, (name,), cards.get(instance)))
    lead = _lead(models)
    first = tuple(model["name"] for model in models if model is lead or not on_own_cards(model))
    if found and lead:
        del found[0]
    seen = (planned or {}).get("first_server") if models else None
    found.insert(0, (lead["name"] if lead else "", first, seen))
    hidden = "-1" if any(cards.values()) else ""
    resident = [model["name"] for model in models if _is_for_ever(model)]
    return tuple(_server(number, each, listen, hidden, resident) for number, each in enumerate(found))


def _is_for_ever(model: Mapping[str, Any]) -> bool:
    keep_alive = model["keep_alive"]
    # What is no duration is refused elsewhere.
    return keep_alive is not None and (parse_duration(str(keep_alive)) or 0) < 0


def _server(
    number: int,
    each: Tuple[str, Tuple[str, ...], Optional[Sequence[str]]],
    first: Listen,
    hidden: str,
    resident: Sequence[str],
) -> Server:
    """hidden: what keeps a server without cards from those of the others; empty where nobody has cards."""
    instance, names, gpus = each
    listen = Listen(first.host, first.port + number)
    if listen.port > _LAST_PORT:
        raise DeclarationProblem(
            f"models_serve: the port of Ollama's server {number + 1} would be {listen.port}.",
            "Give the first one a lower port (ollama_host): each instance takes the next one.",
        )
    more = {"OLLAMA_HOST": listen.text, NO_PRUNE: "1"} if number else {}
    return Server(
        name=OLLAMA if not number else f"{OLLAMA}-{number + 1}",
        engine=OLLAMA,
        listen=listen,
        models=names,
        instance=instance,
        gpus=None if gpus is None else tuple(gpus),
        resident=tuple(name for name in names if name in resident),
        environment={**more, **visible_cards([hidden] if hidden and gpus is not None and not gpus else gpus or ())},
    )


def _lead(models: Sequence[Mapping[str, Any]]) -> Optional[Mapping[str, Any]]:
    """The model whose first instance is on the first server; see `first_server_of` of the plan."""
    replicated = [model for model in models if model["replicas"] is not None]
    if not replicated and all(map(on_own_cards, models)):
        replicated = list(models)
    return replicated[0] if replicated else None


def _instances(models: Sequence[Mapping[str, Any]], planned: Optional[Mapping[str, Any]]) -> Iterator[Tuple[str, int]]:
    """Model and number from 0 of each, in the order of the servers.

    The first instances of all models come before the others, so that one more moves few of them.
    """
    lead, counts = _lead(models), counts_of(planned or {})
    own = sorted((model for model in models if on_own_cards(model)), key=lambda model: model is not lead)
    for model in own:
        yield model["name"], 0
    for model in own:
        for number in range(1, count_of(model, counts)):
            yield model["name"], number


def check_instances(
    models: Sequence[Mapping[str, Any]], gpus: Sequence[str], environment: Mapping[str, Any], adopted: bool
) -> List[str]:
    """What does not go together with replicas or gpus of a model that Ollama serves.

    gpus: ollama_gpus; environment: of the server, without what the instances add; adopted: the installation was there
    before.
    """
    own = [model["name"] for model in models if on_own_cards(model)]
    if not own:
        return []
    found = []
    if adopted:
        found.append(
            "has replicas or gpus, and its Ollama was installed by somebody else, whose one service was taken over. "
            "Remove that installation (playbooks/uninstall.yml, then its own files), or leave them out."
        )
    if gpus:
        found.append("has replicas or gpus, and ollama_gpus is for a host with one server. Leave ollama_gpus out.")
    elif "CUDA_VISIBLE_DEVICES" in environment:
        found.append(
            "has replicas or gpus, and CUDA_VISIBLE_DEVICES in ollama_environment would hold for every server. "
            "Leave it out."
        )
    return [f"models_serve: {own[0]} {sentence}" for sentence in found]
