# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Parts of HAProxy's configuration that a gateway and a door share, and how text stands in it."""

from __future__ import annotations

import json
from typing import List, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import has_control

# Mozilla's "intermediate" for TLS 1.2, and TLS 1.3.
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
)
CIPHER_SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
# The module haproxy puts a digest of all files there, by which a running HAProxy tells what it has loaded.
DIGEST = "@DIGEST@"
# Longer than the longest answer: what streams when HAProxy loads anew ends in the old process.
HARD_STOP = "2h"
# How long a client's connection stays on which nothing is asked.
KEEP_ALIVE_SECONDS = 60
_ERRORS = {
    400: "The request cannot be read.",
    403: "This is not served here.",
    404: "No such instance is here.",
    408: "The request did not come in time.",
    500: "The gateway failed.",
    502: "The engine closed the connection.",
    503: "No instance of this model is free in time, or none is ready.",
    504: "The engine did not answer in time.",
}


class ConfigurationProblem(Problem):
    """A value that cannot stand in HAProxy's configuration."""


def quoted(text: str) -> str:
    """One word of a line, whatever is in it. Raises ConfigurationProblem."""
    if has_control(text):
        raise ConfigurationProblem(f"{text!r} has a line end or another control character.", "Give plain text.")
    return "'" + text.replace("'", "'\\''") + "'"


def error_body(message: str, code: Optional[str], kind: str = "invalid_request_error") -> str:
    """An error as OpenAI's API gives it, as JSON on one line."""
    error = {"message": message, "type": kind, "param": None, "code": code}
    return json.dumps({"error": error}, separators=(",", ":"))


def answer(status: int, message: str, code: Optional[str], *headers: str, formatted: bool = False) -> str:
    """The words of `http-request return` for an error. formatted: `%[…]` in the message is filled in by HAProxy."""
    return f"http-request return {_told(status, message, code, headers, formatted=formatted)}"


def _told(status: int, message: str, code: Optional[str], headers: Sequence[str], *, formatted: bool = False) -> str:
    kind = "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    more = "".join(f" hdr {header}" for header in headers)
    way = "lf-string" if formatted else "string"
    body = quoted(error_body(message, code, kind))
    return f"status {status} content-type application/json{more} {way} {body}"


def _error(status: int, message: str) -> str:
    """What HAProxy itself has to say."""
    retry = ["Retry-After 10"] if status == 503 else []
    return f"    http-error {_told(status, message, None, retry)}"


def global_section(
    *,
    socket: str,
    max_connections: int,
    buffer_bytes: int = 0,
    state_file: str = "",
    log: str = "daemon",
) -> List[str]:
    """The section `global`.

    Args:
        socket: for administration, root's alone.
        max_connections: of clients.
        buffer_bytes: how much of a request's body is held at once; 0 for HAProxy's own choice.
        state_file: in which the state of the servers outlives a reload; empty for none.
        log: the facility of its log, and what of it is left out, as HAProxy writes that.
    """
    return [
        "global",
        f"    description {DIGEST}",
        "    # Files are named as they are called beside this one.",
        "    default-path config",
        f"    log stdout format raw {log}",
        f"    stats socket {socket} mode 600 level admin expose-fd listeners",
        *([f"    server-state-file {state_file}"] if state_file else []),
        "    user haproxy",
        "    group haproxy",
        f"    hard-stop-after {HARD_STOP}",
        f"    maxconn {max_connections}",
        *([f"    tune.bufsize {buffer_bytes}"] if buffer_bytes else []),
        f"    ssl-default-bind-ciphers {CIPHERS}",
        f"    ssl-default-bind-ciphersuites {CIPHER_SUITES}",
        "    ssl-default-bind-options prefer-client-ciphers ssl-min-ver TLSv1.2 no-tls-tickets",
        f"    ssl-default-server-ciphers {CIPHERS}",
        f"    ssl-default-server-ciphersuites {CIPHER_SUITES}",
        "    ssl-default-server-options ssl-min-ver TLSv1.2",
        "",
    ]


def defaults_section(
    *,
    queue_seconds: int,
    keep_state: bool = False,
    retries: int = 2,
) -> List[str]:
    """The section `defaults`: streams pass at once, an abort reaches the engine, nothing is computed twice.

    Args:
        queue_seconds: how long a request waits for a free server.
        keep_state: whether the state of the servers outlives a reload.
        retries: of a request to a server that did not take it; with more than one the last goes to another server.
    """
    return [
        "defaults",
        "    mode http",
        "    log global",
        "    option dontlognull",
        "    option http-no-delay",
        "    option abortonclose",
        # A connection for each request: one that is kept may be closed by the other side at the moment it is used, and
        # nobody knows then whether the request was taken. HAProxy 2.6 also forgets the SNI of a retry after a kept one.
        "    option http-server-close",
        *(["    option redispatch 1"] if retries > 1 else []),
        f"    retries {retries}",
        # Who says 503 has computed nothing: a door without its engine, an engine that loads or has too much to do.
        f"    retry-on conn-failure{' 503' if retries > 1 else ''}",
        "    timeout connect 5s",
        "    timeout check 5s",
        "    timeout http-request 10s",
        f"    timeout http-keep-alive {KEEP_ALIVE_SECONDS}s",
        "    timeout client 1h",
        "    timeout server 1h",
        f"    timeout queue {queue_seconds}s",
        *(["    load-server-state-from-file global"] if keep_state else []),
        # A gateway hands on what a door says.
        *(_error(status, message) for status, message in _ERRORS.items()),
        "",
    ]


def text_of(lines: Sequence[str]) -> str:
    return "# Ansible managed (gguf.fleet)\n" + "".join(f"{line}\n" for line in lines)
