# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The whole configuration of a gateway: the files in its directory, from the fleet value and digests of keys."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.listen import bracketed
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.clients import KEYS, clients_from, key_map, maps_of
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.fragments import (
    ConfigurationProblem,
    answer,
    defaults_section,
    global_section,
    quoted,
    text_of,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.given import given_certificate
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.names import gateway_name
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.paths import (
    NATIVE_PATHS,
    OPENAI_PATH_OF,
    OPENAI_PATHS,
    VERSION_PATH,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.routes import Route, Target, routes_of
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import NEWEST_TESTED

SOCKET = "/run/gguf-fleet/gateway.sock"
STATE_FILE = "/var/lib/gguf-fleet/gateway/server-state"
CERTIFICATE = "tls/server.pem"
OWN_CERTIFICATE = "tls/client.pem"
# HAProxy looks for those of servers when the configuration's directory counts no more.
DIRECTORY = "/etc/gguf-fleet/gateway"
TRUSTED = "tls/ca.pem"
# Of a body's buffer, what its end and HAProxy's own notes take.
_SPARE_BYTES = 128 * 2**10
_BODY_SECONDS = 60
# What is read of anybody, before it is known who asks.
_SMALL_BODY, _SMALL_BODY_SECONDS = 2**16, 5


def gateway_files(
    fleet: Mapping[str, Any], gateway: str, digests: Mapping[str, str], certificate: str = "", key: str = ""
) -> Dict[str, Any]:
    """What a gateway is made of, for the module haproxy.

    Args:
        fleet: the fleet value as plain data.
        gateway: the host.
        digests: SHA-256 of the clients' keys by the clients' names. A client without one cannot ask.
        certificate: path on this machine of the certificate that it shows; empty for one of the fleet's own authority.
        key: path of its key, where that is not in the same file.

    Returns:
        files: content by name. live: the names of maps that change without a reload. certificates: those that it shows
        (file, names, usage, and content where it was given). authority: whether the fleet's own one signs some of it.
        reaches: where it sends requests (host, address, port).

    Raises:
        ConfigurationProblem: for text that cannot stand in a configuration, and a host that is not a gateway.
        CertificateProblem: for a given certificate that cannot be used, or ended.
    """
    if gateway not in fleet["gateways"]:
        raise ConfigurationProblem(f"{gateway} is not a gateway.", "Put it into the group gateway of the inventory.")
    own = fleet["gateways"][gateway]
    routes = routes_of(fleet, gateway)
    maps = {KEYS: key_map(digests), **maps_of(clients_from(own), routes)}
    names = "".join(f"{name} {route.backend}\n" for route in routes for name in route.names)
    doors = own["transport"] == "mtls" and bool(routes)
    shown: List[Dict[str, Any]] = [{"file": CERTIFICATE, "names": [own["name"]], "usage": "server"}]
    if certificate:
        shown[0]["content"] = given_certificate(certificate, key, own["name"])
    if doors:
        shown.append({"file": OWN_CERTIFICATE, "names": [gateway_name(gateway)], "usage": "client"})
    return {
        "files": {"haproxy.cfg": configuration(own, routes), "models.map": names, **maps},
        "live": sorted(maps),
        "certificates": shown,
        "authority": doors or not certificate,
        "reaches": _reaches(routes),
    }


def _reaches(routes: Sequence[Route]) -> List[Dict[str, Any]]:
    found = {(one.host, one.address, one.port) for route in routes for one in route.targets}
    return [{"host": host, "address": address, "port": port} for host, address, port in sorted(found)]


def configuration(gateway: Mapping[str, Any], routes: Sequence[Route]) -> str:
    """The text of haproxy.cfg. gateway: of the fleet value, as plain data."""
    buffer_bytes = gateway["max_body_bytes"] + _SPARE_BYTES
    lines = global_section(
        socket=SOCKET, max_connections=gateway["max_connections"], buffer_bytes=buffer_bytes, state_file=STATE_FILE
    )
    lines += defaults_section(queue_seconds=gateway["queue_seconds"], keep_state=True)
    lines += _frontend(gateway, routes)
    if gateway["http_redirect"]:
        lines += _redirect(gateway)
    lines += [
        "backend clients",
        "    stick-table type string len 64 size 10k expire 1h store http_req_rate(1m),conn_cur",
        "",
    ]
    for route in routes:
        lines += _backend(gateway, route)
    return text_of(lines)


def _frontend(gateway: Mapping[str, Any], routes: Sequence[Route]) -> List[str]:
    rules = [
        f"bind {_bind(gateway, gateway['port'])} ssl crt {CERTIFICATE} alpn h2,http/1.1",
        # Who has a connection and says nothing, not even TLS's first word. It does not run while an engine thinks.
        "timeout client 60s",
        # A client's next request may be on its way when HAProxy loads anew: its answer says that the connection ends.
        # The first releases of 2.4 and 2.5 do not know it.
        ".if version_atleast(2.6)",
        "option idle-close-on-response",
        ".endif",
        'log-format "%ci %[var(txn.client)] %[var(txn.model),bytes(0,100),json(utf8s)] %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST '
        '%B %ts %rc %sq/%bq %HM %HP"',
        *_browsers(gateway["origins"]),
        *_key_check(),
        *_lists(),
        *_allowed_paths(),
        *_limits(),
        *_body(gateway["max_body_bytes"]),
        *_model(routes),
        "use_backend %[var(txn.backend)]",
    ]
    return ["frontend gateway", *(f"    {rule}" for rule in rules), ""]


def _bind(gateway: Mapping[str, Any], port: int) -> str:
    return f"{bracketed(gateway['bind'])}:{port}"


def _browsers(origins: Sequence[str]) -> List[str]:
    """What pages of other origins may do. An engine's own word on that never counts."""
    rules = ["http-response del-header Access-Control- -m beg"]
    if not origins:
        return [*rules, "http-request del-header Origin"]
    if "*" in origins:
        known, allowed = "req.fhdr(Origin) -m found", "*"
    else:
        known = "req.fhdr(Origin) -m str -i " + " ".join(map(quoted, origins))
        allowed = "%[var(txn.origin)]"
    preflight = (
        "http-request return status 204 hdr Access-Control-Allow-Methods 'GET, POST, OPTIONS' "
        "hdr Access-Control-Allow-Headers '%[req.fhdr(Access-Control-Request-Headers)]' hdr Access-Control-Max-Age 600"
    )
    preflight += " if METH_OPTIONS { var(txn.origin) -m found } { req.fhdr(Access-Control-Request-Method) -m found }"
    return [
        *rules,
        f"acl known_origin {known}",
        "http-request set-var(txn.origin) req.fhdr(Origin) if known_origin",
        "http-request del-header Origin",
        f"http-after-response set-header Access-Control-Allow-Origin {allowed} if {{ var(txn.origin) -m found }}",
        "http-after-response add-header Vary Origin",
        # A browser sends no key with it.
        preflight,
    ]


def _key_check() -> List[str]:
    # HTTP/2 has no way to refuse a request whose body is still on its way: clients see a broken stream, and not why.
    read = (
        f"http-request wait-for-body time {_SMALL_BODY_SECONDS}s if {{ req.hdr_val(content-length) lt {_SMALL_BODY} }}"
    )
    wrong = answer(401, "Invalid API key.", "invalid_api_key", "WWW-Authenticate Bearer")
    return [
        read,
        "http-request set-var(txn.key) req.fhdr(Authorization),word(2,' ') "
        "if { req.fhdr(Authorization) -m beg -i 'Bearer ' }",
        "http-request set-var(txn.key) req.fhdr(x-api-key) unless { var(txn.key) -m found }",
        f"http-request set-var(txn.client) var(txn.key),sha2(256),hex,map_str({KEYS})",
        "http-request unset-var(txn.key)",
        f"{wrong} unless {{ var(txn.client) -m found }}",
        "http-request del-header Authorization",
        "http-request del-header x-api-key",
        "http-request del-header Cookie",
    ]


def _lists() -> List[str]:
    listed = "http-request return status 200 content-type application/json"
    known = "%[var(txn.client),map_str("
    version = quoted('{"version":"' + str(NEWEST_TESTED) + '"}')
    return [
        f"{listed} lf-string '{known}openai_list.map)]' if METH_GET {{ path /v1/models }}",
        f"{listed} lf-string '{known}ollama_list.map)]' if METH_GET {{ path /api/tags }}",
        f"{listed} string {version} if METH_GET {{ path {VERSION_PATH} }}",
    ]


def _allowed_paths() -> List[str]:
    refused = answer(403, "This path is not served here.", "path_not_allowed")
    not_native = answer(403, "Ollama's own API is not open to this key. Use the paths below /v1.", "path_not_allowed")
    return [
        f"acl openai path -m str {' '.join(OPENAI_PATHS)}",
        f"acl native path -m str {' '.join(NATIVE_PATHS)}",
        f"{refused} unless METH_POST openai or METH_POST native",
        f"{not_native} if native !{{ var(txn.client),map_str(native.map) -m found }}",
        # The path was compared without what stands behind it.
        "http-request set-uri %[path]",
    ]


def _limits() -> List[str]:
    return [
        "http-request track-sc0 var(txn.client) table clients",
        "http-request set-var(txn.at_once) var(txn.client),map_str_int(at_once.map,0)",
        "http-request set-var(txn.per_minute) var(txn.client),map_str_int(per_minute.map,0)",
        answer(429, "Too many requests at once.", "rate_limit_exceeded", "Retry-After 10")
        + " if { var(txn.at_once) -m int gt 0 } { sc_conn_cur(0),sub(txn.at_once) gt 0 }",
        answer(429, "Too many requests a minute.", "rate_limit_exceeded", "Retry-After 60")
        + " if { var(txn.per_minute) -m int gt 0 } { sc_http_req_rate(0),sub(txn.per_minute) gt 0 }",
    ]


def _body(max_bytes: int) -> List[str]:
    too_long = answer(413, f"The request has more than {max_bytes} bytes.", "request_too_large")
    return [
        f"{too_long} if {{ req.hdr_val(content-length) gt {max_bytes} }}",
        f"http-request wait-for-body time {_BODY_SECONDS}s",
        f"{too_long} if {{ req.body_len gt {max_bytes} }}",
    ]


def _model(routes: Sequence[Route]) -> List[str]:
    unknown = answer(
        404,
        "No model %[var(txn.model),bytes(0,200),json(utf8s)]. It is read from the first field `model` of a body that "
        "is plain JSON, not compressed, and nested at most 24 levels deep before that field.",
        "model_not_found",
        formatted=True,
    )
    rules = [
        "http-request set-var(txn.model) req.body,json_query('$.model')",
        "http-request set-var(txn.backend) var(txn.model),lower,map_str(models.map)",
        "http-request set-var(txn.pair) var(txn.client),concat(|,txn.backend)",
        "http-request set-var(txn.any) var(txn.client),concat(|*)",
        "acl may_ask var(txn.pair),map_str(access.map) -m found",
        "acl may_ask var(txn.any),map_str(access.map) -m found",
        f"{unknown} unless {{ var(txn.backend) -m found }} may_ask",
    ]
    by_ollama = " ".join(route.backend for route in routes if route.native)
    served = f" !{{ var(txn.backend) -m str {by_ollama} }}" if by_ollama else ""
    for path, other in OPENAI_PATH_OF.items():
        told = answer(404, f"This model is served by llama.cpp, which has no {path}. Use {other}.", "path_not_found")
        rules.append(f"{told} if {{ path {path} }}{served}")
    return rules


def _redirect(gateway: Mapping[str, Any]) -> List[str]:
    port = "" if gateway["port"] == 443 else f":{gateway['port']}"
    refused = answer(403, "A key was sent without TLS: replace it, and use https://.", "tls_required")
    return [
        "frontend redirect",
        f"    bind {_bind(gateway, 80)}",
        f"    {refused} if {{ req.fhdr(Authorization) -m found }} or {{ req.fhdr(x-api-key) -m found }}",
        f"    http-request redirect code 301 location https://{gateway['name']}{port}%[path] if METH_GET",
        f"    {answer(403, 'Use https://.', 'tls_required')}",
        "",
    ]


def _backend(gateway: Mapping[str, Any], route: Route) -> List[str]:
    """The first server decides how the backend asks; those that are asked in another way follow checks of their own."""
    first = route.targets[0]
    full = answer(503, "Too many requests wait for this model.", "queue_full", "Retry-After 10")
    lines = [
        f"backend {route.backend}",
        "    balance leastconn",
        f"    {full} if {{ queue ge {gateway['queue']} }}",
        # With it HAProxy holds a whole buffer for each request, until its stream ends.
        "    http-request disable-l7-retry if { nbsrv lt 2 }",
        *([] if first.sni else ["    http-request set-header Host 127.0.0.1"]),
        *_check(first),
    ]
    others = []
    for target in route.targets:
        if (target.check, target.loaded) == (first.check, first.loaded):
            lines.append(f"    {_server(target)} maxconn {target.slots} {_CHECK}{_check_name(target)}")
        else:
            own = f"ready_{route.backend}_{target.name}"
            lines.append(f"    {_server(target)} maxconn {target.slots} track {own}/{target.name}")
            others += [f"backend {own}", *_check(target), f"    {_server(target)} {_CHECK}{_check_name(target)}", ""]
    return [*lines, "", *others]


_CHECK = "check inter 2s fastinter 1s downinter 2s fall 2 rise 1"


def _check(target: Target) -> List[str]:
    return [
        "    option httpchk",
        f"    http-check send meth GET uri {target.check} ver HTTP/1.1 hdr Host 127.0.0.1",
        # What is not in memory would have to be loaded first, and is loaded by its service.
        f"    http-check expect rstring {quoted(_listed(target.loaded))}" if target.loaded else _OK,
    ]


_OK = "    http-check expect status 200"


def _listed(model: str) -> str:
    """An expression for the name of a model, without regard to case, in Ollama's list of what is in memory."""
    name = model if ":" in model.rpartition("/")[2] else f"{model}:latest"
    letters = (f"[{one.lower()}{one.upper()}]" if one.isalpha() else re.escape(one) for one in name)
    return f'"name":"{"".join(letters)}"'


def _check_name(target: Target) -> str:
    return f" check-sni {target.sni}" if target.sni else ""


def _server(target: Target) -> str:
    # A name that nobody resolves takes its own server out and not the whole gateway.
    server = f"server {target.name} {bracketed(target.address)}:{target.port} init-addr last,libc,none"
    if not target.sni:
        return server
    names = f"verify required verifyhost {target.verify} sni str({target.sni})"
    return f"{server} ssl crt {DIRECTORY}/{OWN_CERTIFICATE} ca-file {TRUSTED} alpn http/1.1 {names}"
