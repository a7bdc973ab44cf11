# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Ranges of a file over HTTP, with the standard library alone.

A client keeps its connections, follows redirects without taking secrets along, goes through the proxies that the
environment names, and gives every exchange a deadline. Whatever a server answers ends as a body or as an error with a
name, never as an error of Python.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import urllib.parse
from typing import Dict, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._http.answer import Body, judge, say
from ansible_collections.gguf.fleet.plugins.module_utils._http.deadline import Connection, Deadline
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import SourceError, TransferError, Transient
from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import (
    Origin,
    Secrets,
    origin_of,
    percent_encoded,
    redirect_target,
    shown_url,
)
from ansible_collections.gguf.fleet.plugins.module_utils._http.proxy import (
    proxy_address,
    proxy_authorization,
    proxy_for,
)

USER_AGENT = "gguf.fleet/0.1"
READ_TIMEOUT_SECONDS = 30.0
REDIRECTS_AT_MOST = 10
# A response that nobody wants is read to its end when it is this short, so that its connection can serve again.
DRAIN_AT_MOST_BYTES = 64 * 1024

_RETRY_LATER = {408, 425, 429, 500, 502, 503, 504}
_REDIRECTS = {301, 302, 303, 307, 308}
NO_SECRETS = Secrets()


def tls_context(ca_file: Optional[str]) -> ssl.SSLContext:
    """Verification against the system's authorities, or those in the file that the caller or the environment names."""
    named = ca_file or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    try:
        return ssl.create_default_context(cafile=named)
    except (OSError, ssl.SSLError) as error:
        raise TransferError(
            f"The file of certificate authorities {named} cannot be used: {error}.",
            "Name a readable file of PEM certificates.",
            reason="bad-ca-file",
        ) from error


class HttpClient:
    """Kept connections and what was learned about redirects; one for each thread, as a connection is no shared good."""

    def __init__(
        self,
        *,
        secrets: Secrets = NO_SECRETS,
        ca_file: Optional[str] = None,
        timeout_seconds: float = READ_TIMEOUT_SECONDS,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self._secrets = secrets
        self._ca_file = ca_file
        # One thread has one exchange at a time, with all its redirects and reconnections.
        self._deadline = Deadline(timeout_seconds)
        self._connections: Dict[Origin, Connection] = {}
        self._moved_to: Dict[str, str] = {}
        self._body: Optional[Body] = None
        self._context: Optional[ssl.SSLContext] = None

    def open_range(self, url: str, start: int, length_bytes: int) -> Body:
        """Ask for a range. ``Body.whole`` tells that the server knows no ranges and sends the file from byte 0."""
        self._finish_last_body()
        self._deadline.renew(self.timeout_seconds)
        try:
            return self._open_range(url, start, length_bytes)
        except socket.timeout as error:
            raise self._too_slow(url) from error
        except (OSError, http.client.HTTPException, ValueError, LookupError, ArithmeticError) as error:
            raise SourceError(
                f"{shown_url(url)} answered with something that is not HTTP: {say(error)}.",
                "Look at this server or name another mirror.",
                reason="bad-answer",
            ) from error

    def _open_range(self, url: str, start: int, length_bytes: int) -> Body:
        where = self._moved_to.get(url, url)
        response = self._get(url, where, start, length_bytes)
        if where != url and 400 <= response.status < 500 and response.status not in _RETRY_LATER:
            # A signed link lives for minutes: ask the hub for a new one.
            self._discard(where, response)
            where = url
            del self._moved_to[url]
            response = self._get(url, where, start, length_bytes)
        linked_etag: Optional[str] = None
        for _hop in range(REDIRECTS_AT_MOST):
            if response.status not in _REDIRECTS:
                break
            location = response.getheader("Location")
            if not location:
                raise SourceError(
                    f"{shown_url(where)} answered {response.status} without saying where the file is.",
                    "Look at this server or name another mirror.",
                    reason="bad-redirect",
                )
            # Hugging Face tells the file's checksum in its redirect; the object store behind it does not know it.
            linked_etag = response.getheader("X-Linked-ETag") or linked_etag
            self._discard(where, response)
            where = redirect_target(where, location)
            response = self._get(url, where, start, length_bytes)
        else:
            raise SourceError(
                f"{shown_url(url)} redirects more than {REDIRECTS_AT_MOST} times.",
                "Look at this server or name another mirror.",
                reason="bad-redirect",
            )
        try:
            body = judge(
                response, where, start, length_bytes, deadline=self._deadline, timeout_seconds=self.timeout_seconds
            )
        except TransferError:
            self._discard(where, response)
            raise
        body.linked_etag = body.linked_etag or linked_etag
        if where != url:
            self._moved_to[url] = where
        self._body = body
        return body

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        self._body = None

    def abort(self) -> None:
        """Wake the thread that waits for one of these connections; for use from another thread."""
        for connection in list(self._connections.values()):
            sock = connection.sock
            if sock is not None:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def _finish_last_body(self) -> None:
        if self._body is None:
            return
        if not self._body.finished:
            self._drop(self._body.url)
        self._body.close()
        self._body = None

    def _get(self, asked: str, where: str, start: int, length_bytes: int) -> http.client.HTTPResponse:
        headers = self._request_headers(asked, where)
        headers["Range"] = f"bytes={start}-{start + length_bytes - 1}"
        kept = origin_of(where) in self._connections
        try:
            return self._exchange(where, headers)
        except Transient as error:
            if not kept or error.reason == "stall":
                raise
            # The server closed a kept connection between two requests: that is its right, not a failure.
            return self._exchange(where, headers)

    def _exchange(self, where: str, headers: Dict[str, str]) -> http.client.HTTPResponse:
        connection, target, extra = self._connect(where)
        try:
            connection.request("GET", target, headers={**headers, **extra})
            return connection.getresponse()
        except socket.timeout as error:
            self._drop(where)
            raise self._too_slow(where) from error
        except (OSError, http.client.HTTPException) as error:
            self._drop(where)
            raise Transient(f"{shown_url(where)} closed the connection: {say(error)}.", reason="reset") from error

    def _too_slow(self, where: str) -> Transient:
        return Transient(f"{shown_url(where)} did not answer within {self.timeout_seconds:g} s.", reason="stall")

    def _request_headers(self, asked: str, where: str) -> Dict[str, str]:
        headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
        return {**headers, **self._secrets.headers_for(asked, where)}

    def _connect(self, url: str) -> Tuple[Connection, str, Dict[str, str]]:
        """The connection to ask, the request target to send on it, and headers that are meant for a proxy."""
        scheme, host, port = origin_of(url)
        parts = urllib.parse.urlsplit(percent_encoded(url))
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        proxy = proxy_for(scheme, host, port)
        extra: Dict[str, str] = {}
        if proxy and scheme == "http":
            netloc = parts.netloc.rpartition("@")[2]
            target = urllib.parse.urlunsplit((scheme, netloc, parts.path or "/", parts.query, ""))
            extra = proxy_authorization(proxy)
        connection = self._connections.get((scheme, host, port))
        if connection is None or connection.sock is None:
            connection = self._new_connection(scheme, host, port, proxy)
            try:
                connection.connect()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise _connect_problem(url, proxy, error) from error
            self._connections[(scheme, host, port)] = connection
        return connection, target, extra

    def _new_connection(self, scheme: str, host: str, port: int, proxy: Optional[str]) -> Connection:
        first_host, first_port = proxy_address(proxy) if proxy else (host, port)
        if scheme == "http":
            return Connection(first_host, first_port, self._deadline)
        if self._context is None:
            self._context = tls_context(self._ca_file)
        connection = Connection(first_host, first_port, self._deadline, context=self._context)
        if proxy:
            connection.set_tunnel(host, port, headers=proxy_authorization(proxy))
        return connection

    def _drop(self, url: str) -> None:
        connection = self._connections.pop(origin_of(url), None)
        if connection is not None:
            connection.close()

    def _discard(self, url: str, response: http.client.HTTPResponse) -> None:
        """Read an unwanted answer to its end when that is cheap, so that the connection stays usable."""
        try:
            if response.length is None or response.length > DRAIN_AT_MOST_BYTES:
                self._drop(url)
            else:
                response.read()
            response.close()
        except (OSError, http.client.HTTPException):
            self._drop(url)


def _connect_problem(url: str, proxy: Optional[str], error: Exception) -> TransferError:
    way = f" through the proxy {shown_url(proxy)}" if proxy else ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return SourceError(
            f"The certificate of {shown_url(url)} is not trusted: {error.verify_message}.",
            "Install the authority on this host or name its file in ca_file.",
            reason="untrusted-certificate",
        )
    return Transient(
        f"No connection to {shown_url(url)}{way}: {say(error)}.",
        "Check that the address is right and that this host may reach it (firewall, proxy, DNS).",
        reason="unreachable",
    )
