# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The gateways of a fleet: what the group `gateway` and the variables gateway_* mean, and the instances behind them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.listen import Listen, is_private
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.server_secrets import API_KEY, option
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import LLAMA_CPP, OLLAMA, Engine, Host, Server
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.variables import Variables
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.settings import declared_slots
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import parse_version

GROUP = "gateway"
TRANSPORTS = ("mtls", "plain")
MIN_KEY_CHARACTERS = 32
MIB = 2**20
MAX_BODY_BYTES = 64 * MIB
_CLIENT_KEYS = ("name", "key", "key_sha256", "models", "requests_per_minute", "requests_at_once", "native_api")
_CLIENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_DNS_NAME = re.compile(r"(?!.{254})[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\Z")
_ORIGIN = re.compile(r"(\*|https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?)\Z")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}\Z")
# What Bearer takes (RFC 6750), so that a key is the same in every header.
_KEY = re.compile(r"[A-Za-z0-9._~+/=-]+\Z")
_LATEST = ":latest"
# What engines take where they choose themselves: Ollama did before 0.10.0, llama-server does since about this build.
_AUTO_SLOTS = 4
_OLLAMA_ONE_SLOT = (0, 10, 0)
_LLAMA_CPP_AUTO_SLOTS = 7000


@dataclass(frozen=True)
class Instance:
    """A server of a host as a gateway sees it.

    slots: how many requests it answers at once, for each of its models. resident: those that are always in memory.
    rpc: the RPC servers (host:port) by whose GPUs it computes, as it names them.
    """

    host: str
    address: str
    server: str
    engine: str
    listen: Listen
    models: Tuple[str, ...]
    slots: Mapping[str, int]
    door_port: int
    resident: Tuple[str, ...] = ()
    rpc: Tuple[str, ...] = ()

    def as_dict(self) -> Dict[str, Any]:
        return {
            "host": self.host,
            "address": self.address,
            "server": self.server,
            "engine": self.engine,
            "listen": self.listen.as_dict(),
            "models": list(self.models),
            "slots": dict(self.slots),
            "door_port": self.door_port,
            "resident": list(self.resident),
            "rpc": list(self.rpc),
        }


@dataclass(frozen=True)
class Client:
    """Who may ask. models: what it may ask for, all where empty. Limits of 0 are none. Holds no key."""

    name: str
    models: Tuple[str, ...] = ()
    requests_per_minute: int = 0
    requests_at_once: int = 0
    native_api: bool = False

    def may_ask(self, model: str) -> bool:
        return not self.models or model_key(model) in map(model_key, self.models)

    def as_dict(self) -> Dict[str, Any]:
        return {
            "name": self.name,
            "models": list(self.models),
            "requests_per_minute": self.requests_per_minute,
            "requests_at_once": self.requests_at_once,
            "native_api": self.native_api,
        }


@dataclass(frozen=True)
class Gateway:
    """A host of the group `gateway`. name: by which clients reach it. bind: where it listens, empty for everywhere."""

    host: str
    name: str
    address: str
    bind: str
    port: int
    transport: str
    clients: Tuple[Client, ...]
    origins: Tuple[str, ...]
    http_redirect: bool
    max_body_bytes: int
    max_connections: int
    queue: int
    queue_seconds: int

    @property
    def url(self) -> str:
        """The base address of clients, without a path."""
        return f"https://{self.name}" + ("" if self.port == 443 else f":{self.port}")

    def as_dict(self) -> Dict[str, Any]:
        return {
            "host": self.host,
            "name": self.name,
            "address": self.address,
            "bind": self.bind,
            "port": self.port,
            "url": self.url,
            "transport": self.transport,
            "clients": [client.as_dict() for client in self.clients],
            "origins": list(self.origins),
            "http_redirect": self.http_redirect,
            "max_body_bytes": self.max_body_bytes,
            "max_connections": self.max_connections,
            "queue": self.queue,
            "queue_seconds": self.queue_seconds,
        }


def model_key(name: str) -> str:
    """By what the names of one model are equal: `r1`, `R1` and `r1:latest` are one."""
    lower = name.lower()
    return lower[: -len(_LATEST)] if lower.endswith(_LATEST) else lower


def instances_of(
    host: Host, door_port: int, by_hand: Sequence[Mapping[str, Any]], *, planned: bool = True
) -> Tuple[Instance, ...]:
    """What gateways find on a host: each of its servers that serves a model.

    by_hand: the host's llama_cpp_servers. planned: whether the servers of its models run as the plan says.

    Raises GpuError for slots that are no number.
    """
    parameters = {f"llama-cpp-{server.get('name')}": server.get("parameters") or {} for server in by_hand}
    declared = {model["name"]: model["parameters"] for model in host.models}
    return tuple(
        Instance(
            host=host.name,
            address=host.address,
            server=server.name,
            engine=server.engine,
            listen=server.listen,
            models=server.models,
            slots={
                model: _slots(
                    engine,
                    server,
                    parameters.get(server.name) or declared.get(model) or {},
                    planned=planned and server.name not in parameters,
                )
                for model in server.models
            },
            door_port=door_port,
            resident=server.resident,
            rpc=_rpc(engine, parameters.get(server.name) or declared.get(server.models[0]) or {}),
        )
        for engine in host.engines.values()
        for server in engine.servers
        if server.models
    )


def _rpc(engine: Engine, parameters: Mapping[str, Any]) -> Tuple[str, ...]:
    if engine.name != LLAMA_CPP:
        return ()
    told = str(parameters.get("rpc") or engine.environment.get("LLAMA_ARG_RPC") or "")
    return tuple(filter(None, map(str.strip, told.split(","))))


def _slots(engine: Engine, server: Server, parameters: Mapping[str, Any], *, planned: bool) -> int:
    """What the server answers at once: as declared, else as the plan has it, else as that version chooses by itself."""
    environment = {**engine.environment, **server.environment}
    given = dict(parameters)
    if engine.name == LLAMA_CPP and environment.get("LLAMA_ARG_N_PARALLEL"):
        given.setdefault("parallel", environment["LLAMA_ARG_N_PARALLEL"])
    told = declared_slots(engine.name, given, environment)
    if told is not None:
        return max(1, told)
    # The plan writes it into llama-server's command.
    return 1 if engine.name == LLAMA_CPP and planned else _own_slots(engine)


def _own_slots(engine: Engine) -> int:
    """Where nobody says. One for a version that nobody names, so that the queue is the gateway's, not the engine's."""
    if not engine.version:
        return 1
    if engine.name == OLLAMA:
        return _AUTO_SLOTS if parse_version(engine.version) < _OLLAMA_ONE_SLOT else 1
    build = re.match(r"b?(\d+)", engine.version)
    return _AUTO_SLOTS if build and int(build.group(1)) >= _LLAMA_CPP_AUTO_SLOTS else 1


def gateway_of(host: Host, variables: Variables, wrong: List[str]) -> Optional[Gateway]:
    """The gateway that a host of the group is; what is wrong with it is added to `wrong`, a sentence each."""
    found = _check_gateway(variables)
    clients, refused = clients_of(variables["gateway_clients"])
    wrong += [f"{host.name}: {sentence}" for sentence in [*found, *refused]]
    if found or refused:
        return None
    return Gateway(
        host=host.name,
        name=str(variables["gateway_name"]),
        address=host.address,
        bind=str(variables["gateway_bind"]).strip("[]"),
        port=int(variables["gateway_port"]),
        transport=str(variables["gateway_transport"]),
        clients=clients,
        origins=tuple(map(str, variables["gateway_origins"])),
        http_redirect=bool(variables["gateway_http_redirect"]),
        max_body_bytes=int(variables["gateway_max_body_bytes"]),
        max_connections=int(variables["gateway_max_connections"]),
        queue=int(variables["gateway_queue"]),
        queue_seconds=int(variables["gateway_queue_seconds"]),
    )


def _check_gateway(variables: Variables) -> List[str]:
    found = []
    name = str(variables["gateway_name"])
    if not name:
        found.append(
            "it is in the group gateway, and gateway_name is empty. Set it to the name that clients reach it by."
        )
    elif not _DNS_NAME.match(name):
        found.append(f"gateway_name is {name!r}. Give one name of DNS, or an IPv4 address, without https:// and port.")
    if variables["gateway_transport"] not in TRANSPORTS:
        found.append(f"gateway_transport is {variables['gateway_transport']!r}. There are {' and '.join(TRANSPORTS)}.")
    numbers = (
        ("gateway_port", 1, 65535),
        ("gateway_max_body_bytes", 2**16, MAX_BODY_BYTES),
        ("gateway_max_connections", 10, 100_000),
        ("gateway_queue", 0, 100_000),
        ("gateway_queue_seconds", 1, 86_400),
    )
    for variable, least, most in numbers:
        if _whole(variables[variable], least, most) is None:
            found.append(f"{variable} is {variables[variable]!r}. Give a whole number from {least} to {most}.")
    found += [
        f"gateway_origins has {origin!r}. Give scheme and host as a browser does, such as https://chat.example.com."
        for origin in variables["gateway_origins"]
        if not _ORIGIN.match(str(origin))
    ]
    return found


def check_door_port(variables: Variables) -> List[str]:
    """Of a host with instances, where there is a gateway."""
    port = variables["gateway_door_port"]
    return [] if _whole(port, 1, 65535) else [f"gateway_door_port is {port!r}. Give a whole number from 1 to 65535."]


def clients_of(entries: Sequence[Mapping[str, Any]]) -> Tuple[Tuple[Client, ...], List[str]]:
    """What gateway_clients declares, and what is wrong in it. No sentence holds a key."""
    clients: Dict[str, Client] = {}
    wrong: List[str] = []
    keys: Dict[str, str] = {}
    for position, entry in enumerate(entries, 1):
        name = str(entry.get("name") or "")
        if not _CLIENT_NAME.match(name):
            wrong.append(
                f"gateway_clients: entry {position} has no name, or one that cannot be used. "
                "Take up to 64 letters, digits, dots and dashes."
            )
            continue
        where = f"gateway_clients: {name}"
        unknown = [key for key in entry if key not in _CLIENT_KEYS]
        if unknown:
            wrong.append(f"{where}: there is no setting {unknown[0]!r}. Known are {', '.join(_CLIENT_KEYS)}.")
        if name in clients:
            wrong.append(f"{where} is there twice. Give each client a name of its own.")
        wrong += [f"{where}: {sentence}" for sentence in _check_key(entry)]
        for given in filter(None, (str(entry.get("key") or ""), str(entry.get("key_sha256") or "").lower())):
            if keys.setdefault(given, name) != name:
                wrong.append(f"{where} and {keys[given]} have one key. Give each client a key of its own.")
        limits = {}
        for limit in ("requests_per_minute", "requests_at_once"):
            number = _whole(entry.get(limit) or 0, 0, 1_000_000)
            if number is None:
                wrong.append(f"{where}: {limit} is {entry[limit]!r}. Give a whole number; 0 is no limit.")
            limits[limit] = number or 0
        models = entry.get("models") or []
        if isinstance(models, str):
            wrong.append(f"{where}: models is one text. Give a list of names.")
            models = []
        clients[name] = Client(name, tuple(map(str, models)), native_api=bool(entry.get("native_api")), **limits)
    return tuple(clients.values()), wrong


def _check_key(entry: Mapping[str, Any]) -> List[str]:
    key, digest = str(entry.get("key") or ""), str(entry.get("key_sha256") or "")
    if key and digest:
        return ["key and key_sha256 are both given. Leave one out."]
    if digest and not _SHA256.match(digest):
        return ["key_sha256 is no SHA-256. Give 64 hexadecimal digits, as sha256sum prints them."]
    if key and len(key) < MIN_KEY_CHARACTERS:
        return [
            f"its key has {len(key)} characters. Give at least {MIN_KEY_CHARACTERS}, since the gateway keeps a SHA-256 "
            "of it without salt, or leave it out to have one made."
        ]
    if key and not _KEY.match(key):
        return ["its key has characters that do not go into a header. Take letters, digits and . _ ~ + / = -."]
    return []


def _whole(value: Any, least: int, most: int) -> Optional[int]:
    try:
        number = int(str(value))
    except ValueError:
        return None
    return number if least <= number <= most else None


def check_fleet(
    gateways: Sequence[Gateway],
    instances: Sequence[Instance],
    hosts: Mapping[str, Host],
    read: Mapping[str, Variables],
) -> List[str]:
    """What is wrong between gateways and what is behind them, a sentence each."""
    if not gateways:
        return []
    return [
        *_one_file_each(hosts, read),
        *_own_keys(instances, hosts, read),
        *(sentence for gateway in gateways for sentence in _check_models(gateway, instances, hosts)),
        *(sentence for gateway in gateways for sentence in _check_reach(gateway, instances)),
    ]


def _one_file_each(hosts: Mapping[str, Host], read: Mapping[str, Variables]) -> List[str]:
    """A gateway sends a name to any host that claims it, so it has to be the same file everywhere."""
    claims: Dict[str, Tuple[str, str]] = {}
    found = []
    for host in hosts.values():
        files = [(model["name"], model["lock_name"]) for model in host.models]
        files += [
            (str(server.get("alias") or server.get("name")), str(server.get("model") or "").rpartition("/")[2])
            for server in read[host.name]["llama_cpp_servers"]
        ]
        for name, file in files:
            other, known = claims.setdefault(model_key(name), (host.name, file))
            if known != file:
                found.append(
                    f"{host.name}: {name} is {file} here and {known} on {other}, and the gateway knows models by their "
                    "names. One name is one quant: give one of them another name."
                )
    return found


def _own_keys(instances: Sequence[Instance], hosts: Mapping[str, Host], read: Mapping[str, Variables]) -> List[str]:
    """A gateway takes the client's key away and has none for an engine, which would refuse every request."""
    found = []
    for name in dict.fromkeys(one.host for one in instances if one.engine == LLAMA_CPP):
        parameters = [model["parameters"] for model in hosts[name].models if model["engine"] == LLAMA_CPP]
        parameters += [server.get("parameters") or {} for server in read[name]["llama_cpp_servers"]]
        options = {option(key) for one in parameters for key in one}
        if API_KEY in read[name]["llama_cpp_environment"] or options & {"api-key", "api-key-file"}:
            found.append(
                f"{name}: llama.cpp asks for a key of its own ({API_KEY}, api-key or api-key-file), and a gateway "
                "hands no key on. Leave it out: gateway_clients has the keys, and the door lets only gateways in."
            )
    return found


def _check_models(gateway: Gateway, instances: Sequence[Instance], hosts: Mapping[str, Host]) -> List[str]:
    """`models` of a client is kept only where an instance can serve nothing else: a body does not permit anything."""
    served = {model_key(model) for instance in instances for model in instance.models}
    found = []
    for client in gateway.clients:
        where = f"{gateway.host}: gateway_clients: {client.name}"
        for model in client.models:
            if model_key(model) not in served:
                found.append(f"{where}: no host serves {model}. Serve it (models_serve), or leave it out.")
        if not client.models:
            continue
        for one in instances:
            if one.engine != OLLAMA or not any(map(client.may_ask, one.models)):
                continue
            # All servers of Ollama on a host share its store.
            store = [model["name"] for model in hosts[one.host].models if model["engine"] == OLLAMA]
            beyond = [model for model in store if not client.may_ask(model)]
            if beyond:
                allowed = next(filter(client.may_ask, one.models))
                found.append(
                    f"{where}: models cannot be kept: {allowed} is served by Ollama on {one.host}, whose store has "
                    f"{beyond[0]}, too, and Ollama reads a request's model in another way than a gateway can. "
                    f"Serve {allowed} by llama.cpp or on a host of its own, or add {beyond[0]} to its models."
                )
                break
    return found


def _check_reach(gateway: Gateway, instances: Sequence[Instance]) -> List[str]:
    """Without TLS an engine has to be on an address that the gateway reaches and that the internet does not."""
    if gateway.transport != "plain":
        return []
    found = []
    for one in instances:
        where = (
            f"{gateway.host}: gateway_transport is plain, and {one.server} on {one.host} listens on {one.listen.text}"
        )
        if one.host == gateway.host and not one.listen.open:
            continue
        if not one.listen.open:
            found.append(
                f"{where}, which the gateway cannot reach. Let it listen on a private address, or leave "
                "gateway_transport out, and a door with TLS is set up there."
            )
        elif not is_private(one.address if one.listen.everywhere else one.listen.host):
            found.append(
                f"{where}, which is no private address (10/8, 172.16/12, 192.168/16, fc00::/7): whoever reaches it "
                "needs no key. Let it listen on one, or leave gateway_transport out, and a door with TLS is set up."
            )
    return found
