# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The fleet as one value: what the inventory means, worked out once. Prints as YAML; holds no secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.listen import Listen
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.quants import Quant
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import masked, masked_text

OLLAMA, LLAMA_CPP = "ollama", "llama_cpp"
# The service by which llama.cpp lends a host's GPUs.
RPC_SERVER = "llama-cpp-rpc"
ENGINES = (OLLAMA, LLAMA_CPP)
HUB_URLS = {"modelscope": "https://modelscope.cn", "huggingface": "https://huggingface.co"}


@dataclass(frozen=True)
class Server:
    """One process that listens: an Ollama server, a llama-server, or llama.cpp's RPC server.

    name: of its service. models: the names that clients ask it for. by_hand: from llama_cpp_servers, not models_serve.
    instance: the copy of a model that it was made for, if it was. gpus: UUIDs or indices of the cards that the plan
    gives to it, None where it sees those of its engine, or where that is not planned yet. environment: what
    it has beyond that of its engine. uses: of llama.cpp, what holes of a build may matter to it: models, rpc.
    resident: those of its models that are in memory for ever (keep_alive), where that is the engine's own matter.
    """

    name: str
    engine: str
    listen: Listen
    models: Tuple[str, ...]
    by_hand: bool = False
    instance: str = ""
    gpus: Optional[Tuple[str, ...]] = None
    environment: Mapping[str, str] = field(default_factory=dict)
    uses: Tuple[str, ...] = ()
    resident: Tuple[str, ...] = ()

    def as_dict(self) -> Dict[str, Any]:
        return {
            "name": self.name,
            "engine": self.engine,
            "listen": self.listen.as_dict(),
            "url": self.listen.url,
            "gpus": None if self.gpus is None else list(self.gpus),
            "environment": dict(self.environment),
            "models": list(self.models),
            "by_hand": self.by_hand,
            "instance": self.instance,
            "uses": list(self.uses),
            "resident": list(self.resident),
        }


@dataclass(frozen=True)
class Engine:
    """An engine of a host. environment: without secrets; gpus: indices or UUIDs, empty for all; store: Ollama's."""

    name: str
    version: Optional[str]
    gpus: Tuple[str, ...]
    environment: Mapping[str, str]
    servers: Tuple[Server, ...]
    store: Optional[str] = None
    service_user: str = ""

    @property
    def uses(self) -> Tuple[str, ...]:
        """Of all of its servers."""
        return tuple(sorted({use for server in self.servers for use in server.uses}))

    def as_dict(self) -> Dict[str, Any]:
        return {
            "name": self.name,
            "version": self.version,
            "gpus": list(self.gpus),
            "environment": dict(self.environment),
            "url": self.servers[0].listen.url if self.servers else None,
            "servers": [server.as_dict() for server in self.servers],
            "store": self.store,
            "service_user": self.service_user,
        }


@dataclass(frozen=True)
class Host:
    """A host as the inventory describes it.

    address: how others reach it. gpus: those that the host reported in this run, else the declared ones (name,
    memory_total_mib, count), else those of an earlier report. declared_gpus: of the inventory alone. asked_gpus: of
    this run's report, else of an earlier one; None where the host was never asked. unknown_address: why it cannot be
    said where its Ollama listens, empty where it can. unknown_cards: why it cannot be said which cards each of its
    Ollama servers gets, empty where it can. ram_bytes: by the same order as gpus, None where nothing says it.
    engines: those that it has models or servers for. ollama: where its Ollama is, if it has one, declared or left over.
    models: as `declare` completes them, in the order of models_serve. gateway: it is in the group of that name.
    """

    name: str
    address: str
    gpus: Tuple[Mapping[str, Any], ...]
    declared_gpus: Tuple[Mapping[str, Any], ...]
    asked_gpus: Optional[Tuple[Mapping[str, Any], ...]]
    unknown_address: str
    ram_bytes: Optional[int]
    fabric_manager: bool
    models_dir: str
    engines: Mapping[str, Engine]
    ollama: Engine
    models: Tuple[Mapping[str, Any], ...]
    unknown_cards: str = ""
    gateway: bool = False

    @property
    def only_gateway(self) -> bool:
        """Whether nothing of an engine concerns it."""
        return self.gateway and not self.engines

    @property
    def servers(self) -> Tuple[Server, ...]:
        """All that listens, Ollama first."""
        return tuple(server for engine in self.engines.values() for server in engine.servers)

    @property
    def hubs(self) -> Tuple[str, ...]:
        """The addresses of the hubs of its models."""
        sources = [model["source"] for model in self.models if model["source"]["hub"] in HUB_URLS]
        return tuple(dict.fromkeys(source["endpoint"] or HUB_URLS[source["hub"]] for source in sources))

    @property
    def endpoints(self) -> Tuple[Dict[str, Any], ...]:
        """One for each model name at each server that serves it: engine, model, url, port, open."""
        return tuple(
            {
                "engine": server.engine,
                "model": model,
                "url": server.listen.url,
                "port": server.listen.port,
                "open": server.listen.open,
            }
            for server in self.servers
            for model in server.models
        )

    def as_dict(self) -> Dict[str, Any]:
        return {
            "name": self.name,
            "address": self.address,
            "gpus": [dict(gpu) for gpu in self.gpus],
            "declared_gpus": [dict(gpu) for gpu in self.declared_gpus],
            "asked_gpus": None if self.asked_gpus is None else [dict(gpu) for gpu in self.asked_gpus],
            "unknown_address": self.unknown_address,
            "unknown_cards": self.unknown_cards,
            "ram_bytes": self.ram_bytes,
            "fabric_manager": self.fabric_manager,
            "models_dir": self.models_dir,
            "engines": {name: engine.as_dict() for name, engine in self.engines.items()},
            "ollama": self.ollama.as_dict(),
            "models": [{**model, "source": masked(model["source"])} for model in self.models],
            "servers": [server.as_dict() for server in self.servers],
            "gateway": self.gateway,
            "only_gateway": self.only_gateway,
            "endpoints": list(self.endpoints),
            "hubs": [masked_text(url) for url in self.hubs],
            "ports": sorted({server.listen.port for server in self.servers}),
        }


@dataclass(frozen=True)
class Fleet:
    """All hosts of the inventory by name, the sources of their models, each once, and what is known of their quants.

    gateways: by host, plain data of `Gateway`. instances: of `Instance`, all that a gateway may send requests to.
    """

    hosts: Mapping[str, Host]
    sources: Tuple[Mapping[str, Any], ...] = ()
    quants: Mapping[str, Sequence[Quant]] = field(default_factory=dict)
    gateways: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    instances: Tuple[Mapping[str, Any], ...] = ()

    def needed_bytes(self, host: Host) -> int:
        """Of all files of a host's models that have a lock, each file once, however many names it serves under."""
        files = {(model["lock_name"], model["layout"]) for model in host.models}
        return sum(quant.size_bytes or 0 for lock_name, _layout in files for quant in self.quants[lock_name])

    def has_door(self, host: Host) -> bool:
        """Whether a gateway reaches the host's engines by mutual TLS."""
        by_tls = any(gateway["transport"] == "mtls" for gateway in self.gateways.values())
        return by_tls and any(instance["host"] == host.name for instance in self.instances)

    def as_dict(self) -> Dict[str, Any]:
        """Plain data that may be printed: passwords in the addresses of sources are replaced by asterisks."""
        return {
            "hosts": {
                name: {**host.as_dict(), "needed_bytes": self.needed_bytes(host), "door": self.has_door(host)}
                for name, host in self.hosts.items()
            },
            "problems": [],
            "sources": [dict(masked(source)) for source in self.sources],
            "quants": {name: [quant.as_dict() for quant in quants] for name, quants in self.quants.items()},
            "gateways": {name: dict(gateway) for name, gateway in self.gateways.items()},
            "instances": [dict(instance) for instance in self.instances],
            "only_gateways": [name for name, host in self.hosts.items() if host.only_gateway],
        }
