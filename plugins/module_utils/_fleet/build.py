# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""From the variables of all hosts to the fleet value; all that is wrong in the declarations is found here, at once."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._engine.holes import MODELS, RPC
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.checks import (
    check_engine,
    check_listening,
    check_mirrors,
    check_model,
    check_wanted,
)
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import (
    DeclarationProblem,
    declare_all,
    sources,
)
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.gateway import (
    GROUP,
    Gateway,
    Instance,
    check_door_port,
    check_fleet,
    gateway_of,
    instances_of,
)
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.listen import LLAMA_CPP_PORT, Listen, ollama_listen
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.llama_cpp_source import check_source, version_of
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.ollama import ollama_settings
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.ollama_servers import (
    check_instances,
    has_instances,
    ollama_servers,
)
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.quants import known_quants
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.record import Reported, reported, seen_gpus
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.replicas import (
    check_cards,
    needs_plan,
    plan_instances,
    too_many,
)
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.servers import counts_of, ports_of
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import (
    LLAMA_CPP,
    OLLAMA,
    RPC_SERVER,
    Engine,
    Fleet,
    Host,
    Server,
)
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.variables import (
    ADDRESS,
    ADOPTED,
    GROUPS,
    SEEN,
    Variables,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.demand import instance_name
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import is_secret

GIB = 2**30
_SERVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
RPC_PORT = 50052
_SERVICE_USERS = {OLLAMA: "ollama", LLAMA_CPP: "llama-cpp"}


def describe_fleet(
    hosts: Mapping[str, Mapping[str, Any]],
    catalog: Mapping[str, Mapping[str, Any]],
    locks: Mapping[str, Any],
    *,
    quant: Optional[str] = None,
    records: Optional[Mapping[str, Reported]] = None,
    public: FrozenSet[str] = frozenset(),
) -> Fleet:
    """The fleet value.

    Args:
        hosts: the variables of every host of the inventory, by its name.
        catalog: the built-in catalog; each host's models_catalog goes over it.
        locks: of the lock file, by name.
        quant: what would be if every model had this quant.
        records: what hosts reported in earlier runs, for those that have not done so in this one.
        public: names of all public variables: what is nearly one of them is refused.

    Raises:
        DeclarationProblem: with everything that is wrong, a line each.
    """
    wrong: List[str] = []
    described: Dict[str, Host] = {}
    read: Dict[str, Variables] = {}
    entries: List[Mapping[str, Any]] = []
    recorded = records or {}
    known: Dict[str, Any] = dict(catalog)
    for name, given in hosts.items():
        variables = read[name] = Variables(given)
        wrong += [f"{name}: {problem}" for problem in [*variables.outdated(), *variables.misspelt(public)]]
        if quant:
            variables.ask_for(quant)
        own = {**catalog, **variables["models_catalog"]}
        known.update(variables["models_catalog"])
        try:
            described[name] = _describe_host(name, variables, own, wrong, recorded=recorded.get(name, Reported()))
        except Problem as problem:
            wrong.append(f"{name}: {problem}")
            continue
        entries += variables["models_serve"]
    found: List[Dict[str, Any]] = []
    if not wrong:
        try:
            found = sources(entries, known)
        except DeclarationProblem as problem:
            wrong.append(str(problem))
    _refuse(wrong)
    quants = known_quants(found, known, locks)
    for name, host in described.items():
        if not needs_plan(host):
            continue
        variables = read[name]
        # What it reported in an earlier run may have changed since: it is asked before anything is refused by it.
        stale = seen_gpus(variables.get(SEEN)) is None and not variables["fleet_gpus"]
        plan, unknown = plan_instances(host, quants, refuse=not stale)
        if plan:
            own = {**catalog, **variables["models_catalog"]}
            wrong += [f"{name}: {problem}" for problem in too_many(host.models, plan)]
            described[name] = _describe_host(
                name, variables, own, wrong, recorded=recorded.get(name, Reported()), plan=plan
            )
        elif OLLAMA in host.engines and has_instances(_served_by(OLLAMA, host.models)):
            described[name] = dataclasses.replace(host, unknown_cards=unknown)
    _refuse(wrong)
    gateways, instances = _gateways(described, read, wrong)
    _refuse(wrong)
    return Fleet(
        hosts=described,
        sources=tuple(found),
        quants=quants,
        gateways={gateway.host: gateway.as_dict() for gateway in gateways},
        instances=tuple(instance.as_dict() for instance in instances),
    )


def _gateways(
    hosts: Mapping[str, Host], read: Mapping[str, Variables], wrong: List[str]
) -> Tuple[List[Gateway], List[Instance]]:
    """The gateways and what is behind them; nothing at all where the inventory has none."""
    members = [host for host in hosts.values() if host.gateway]
    if not members:
        return [], []
    gateways = [gateway for host in members if (gateway := gateway_of(host, read[host.name], wrong))]
    instances: List[Instance] = []
    for name, host in hosts.items():
        problems = check_door_port(read[name])
        wrong += [f"{name}: {problem}" for problem in problems]
        try:
            port = 0 if problems else int(read[name]["gateway_door_port"])
            planned = read[name]["models_plan"] != "off"
            instances += instances_of(host, port, read[name]["llama_cpp_servers"], planned=planned)
        except Problem as problem:
            wrong.append(f"{name}: {problem}")
    wrong += check_fleet(gateways, instances, hosts, read)
    return gateways, instances


def describe_host(
    name: str,
    given: Mapping[str, Any],
    catalog: Mapping[str, Any],
    known: Callable[[], Tuple[Mapping[str, Any], Mapping[str, Reported]]] = lambda: ({}, {}),
) -> Host:
    """One host by itself, for a role whose variables a play may set as well. Raises DeclarationProblem.

    known: gives the locks, and what hosts reported before; asked only where the host has to be planned.
    """
    variables = Variables(given)
    wrong = [f"{name}: {problem}" for problem in variables.outdated()]
    host = _describe_host(name, variables, {**catalog, **variables["models_catalog"]}, wrong, recorded=Reported())
    _refuse(wrong)
    if not needs_plan(host):
        return host
    locks, records = known()
    return describe_fleet({name: given}, catalog, locks, records=records).hosts[name]


def _served_by(engine: str, models: Sequence[Mapping[str, Any]]) -> List[Mapping[str, Any]]:
    return [model for model in models if model["engine"] == engine]


def _refuse(wrong: List[str]) -> None:
    if wrong:
        raise DeclarationProblem("\n".join(dict.fromkeys(wrong)), "")


def _describe_host(
    name: str,
    variables: Variables,
    catalog: Mapping[str, Any],
    wrong: List[str],
    *,
    recorded: Reported,
    plan: Optional[Mapping[str, Any]] = None,
) -> Host:
    """plan: of the host, where it is known: how many instances `max` means, and the cards of Ollama's servers."""
    now = reported(variables)
    told = now.over(recorded)
    models, refused = declare_all(variables["models_serve"], catalog, engine=variables["models_engine"])
    wrong += [f"{name}: {problem}" for problem in [*refused, *check_cards(models, variables)]]
    engines: Dict[str, Engine] = {}
    by_ollama, by_llama_cpp = _served_by(OLLAMA, models), _served_by(LLAMA_CPP, models)
    ollama = _ollama(variables, by_ollama, told, plan)
    llama_cpp = _llama_cpp(variables, by_llama_cpp, counts_of(plan or {}))
    wanted = variables["fleet_engines"]
    wrong += [f"{name}: {problem}" for problem in [*check_wanted(wanted), *check_mirrors(variables["models_mirrors"])]]
    if by_ollama or OLLAMA in wanted:
        engines[OLLAMA] = ollama
    if llama_cpp:
        engines[LLAMA_CPP] = llama_cpp
        wrong += [f"{name}: {problem}" for problem in check_source(variables, llama_cpp.uses)]
    wrong += [
        f"{name}: {problem}"
        for problem in check_instances(by_ollama, ollama.gpus, ollama.environment, bool(_adopted(variables, told)))
    ]
    settings = ollama_settings(variables, _adopted(variables, told))
    for engine, served in ((ollama, by_ollama), (llama_cpp, by_llama_cpp)):
        if engine is None or engine.name not in engines:
            continue
        wrong += [f"{name}: {problem}" for problem in check_engine(engine, settings)]
        wrong += [
            f"{name}: models_serve: {model['name']}: {problem}"
            for model in served
            for problem in check_model(model, engine)
        ]
    seen, declared = seen_gpus(variables.get(SEEN)), variables["fleet_gpus"]
    asked = told.gpus if seen is None else tuple(seen)
    host = Host(
        name=name,
        address=str(variables.get(ADDRESS) or name),
        gpus=tuple(asked or () if seen is not None or not declared else declared),
        declared_gpus=tuple(declared),
        asked_gpus=asked,
        unknown_address=_unknown_address(variables, told) if OLLAMA in engines else "",
        ram_bytes=now.ram_bytes or int(variables["fleet_ram_gib"]) * GIB or recorded.ram_bytes,
        fabric_manager=bool(variables["fleet_fabric_manager"]),
        models_dir=str(variables["host_models_dir"]),
        engines=engines,
        ollama=ollama,
        models=tuple({**model, "parameters": _shown(model["parameters"])} for model in models),
        gateway=GROUP in (variables.get(GROUPS) or ()),
    )
    wrong += [f"{name}: {problem}" for problem in check_listening(host.servers)]
    return host


def _unknown_address(variables: Variables, told: Reported) -> str:
    if told.adopted is not None or variables.says_where_ollama_listens():
        return ""
    return (
        "it was never asked whether it runs an Ollama of its own, which listens where it did before. Run site.yml once "
        "from here, or set OLLAMA_HOST in ollama_environment."
    )


def _adopted(variables: Variables, told: Reported) -> Mapping[str, Any]:
    return (variables.get(ADOPTED) or {}).get("adopted") or told.adopted or {}


def _ollama(
    variables: Variables, models: Sequence[Mapping[str, Any]], told: Reported, plan: Optional[Mapping[str, Any]]
) -> Engine:
    settings = ollama_settings(variables, _adopted(variables, told))
    environment = _texts(_shown(settings))
    gpus = tuple(map(str, variables["ollama_gpus"]))
    listen = ollama_listen(str(settings["OLLAMA_HOST"]))
    # Who chooses the cards of the one server by hand gets them, whatever belongs to instances of llama.cpp.
    by_hand = bool(gpus) or "CUDA_VISIBLE_DEVICES" in environment
    return Engine(
        name=OLLAMA,
        version=str(variables["ollama_version"]) or None,
        gpus=gpus,
        environment=environment,
        servers=ollama_servers(models, listen, None if by_hand else plan),
        store=str(settings["OLLAMA_MODELS"]),
        service_user=_SERVICE_USERS[OLLAMA],
    )


def _llama_cpp(
    variables: Variables, models: Sequence[Mapping[str, Any]], counts: Mapping[str, int]
) -> Optional[Engine]:
    by_hand, rpc = variables["llama_cpp_servers"], variables["llama_cpp_rpc"]
    if not (models or by_hand or rpc or LLAMA_CPP in variables["fleet_engines"]):
        return None
    servers = [
        _server_of(model, variables, number, port)
        for model, ports in zip(models, ports_of(models, counts))
        for number, port in enumerate(ports)
    ]
    servers += [_server_by_hand(server) for server in by_hand]
    if rpc:
        listen = Listen(str(rpc.get("host") or ""), int(rpc.get("port") or RPC_PORT))
        servers.append(Server(RPC_SERVER, LLAMA_CPP, listen, (), uses=(RPC,)))
    return Engine(
        name=LLAMA_CPP,
        version=version_of(variables),
        gpus=tuple(map(str, variables["llama_cpp_gpus"])),
        environment=_texts(_shown(variables["llama_cpp_environment"])),
        servers=tuple(servers),
        service_user=_SERVICE_USERS[LLAMA_CPP],
    )


def _server_of(model: Mapping[str, Any], variables: Variables, number: int, port: int) -> Server:
    listen = Listen(str(model["host"] or variables["models_llama_cpp_host"]).strip("[]"), port)
    name = instance_name(model["name"], number)
    return Server(
        f"llama-cpp-{name}", LLAMA_CPP, listen, (model["name"],), instance=name, uses=_uses(model["parameters"])
    )


def _server_by_hand(server: Mapping[str, Any]) -> Server:
    if not server.get("name"):
        raise DeclarationProblem("llama_cpp_servers: a server has no name.", "Give each its `name:`.")
    name = str(server["name"])
    if not _SERVER_NAME.match(name):
        raise DeclarationProblem(
            f"llama_cpp_servers: {name!r} is not the name of a server.", "Take letters, digits, dots and dashes."
        )
    listen = Listen(str(server.get("host") or "127.0.0.1").strip("[]"), int(server.get("port") or LLAMA_CPP_PORT))
    models, uses = (str(server.get("alias") or name),), _uses(server.get("parameters"))
    return Server(f"llama-cpp-{name}", LLAMA_CPP, listen, models, by_hand=True, uses=uses)


def _uses(parameters: Any) -> Tuple[str, ...]:
    return (MODELS, RPC) if "rpc" in (parameters or {}) else (MODELS,)


def _shown(settings: Mapping[str, Any]) -> Dict[str, Any]:
    return {str(name): value for name, value in settings.items() if not is_secret(name, value)}


def _texts(settings: Mapping[str, Any]) -> Dict[str, str]:
    return {name: str(value) for name, value in settings.items()}
