# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Ranges of a file over HTTP, with the standard library alone.

A client keeps its connections, follows redirects without taking the credentials along, goes through the proxies that
the environment names, and judges every answer before a byte of it is used: an HTML page, a compressed body or the
wrong range is an error with a name, never data.
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import ipaddress
import os
import re
import socket
import ssl
import time
import urllib.parse
import urllib.request
from typing import Dict, Mapping, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._transfer.errors import SourceError, TransferError, Transient

USER_AGENT = "gguf.fleet/0.1"
CONNECT_TIMEOUT_SECONDS = 10.0
READ_TIMEOUT_SECONDS = 30.0
REDIRECTS_AT_MOST = 10
# A response that nobody wants is read to its end when it is this short, so that its connection can serve again.
DRAIN_AT_MOST_BYTES = 64 * 1024

_CONTENT_RANGE = re.compile(r"^bytes\s+(\d+)-(\d+)/(\d+|\*)$")
_RETRY_LATER = {408, 425, 429, 500, 502, 503, 504}
_BUSY = {429, 503}
_REDIRECTS = {301, 302, 303, 307, 308}
_CREDENTIAL_HEADERS = {"authorization", "cookie"}
_DEFAULT_PORTS = {"http": 80, "https": 443}


def shown_url(url: str) -> str:
    """The URL as messages may show it: without user, password and query (signed links carry secrets there)."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))


def origin_of(url: str) -> Tuple[str, str, int]:
    """Scheme, host and port: what has to be equal for credentials to go along."""
    parts = urllib.parse.urlsplit(url)
    scheme = parts.scheme.lower()
    try:
        port = parts.port
    except ValueError:
        port = -1
    if scheme not in _DEFAULT_PORTS or not parts.hostname or port == -1:
        raise SourceError(
            f"{shown_url(url)} is not an http or https address.",
            "Give a whole URL, with scheme and host.",
            reason="bad-url",
        )
    return scheme, parts.hostname, port or _DEFAULT_PORTS[scheme]


def proxy_for(scheme: str, host: str, port: int) -> Optional[str]:
    """The proxy that the environment names for this address (no_proxy may hold names, suffixes, IPs and networks)."""
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(scheme) or proxies.get("all")
    bypass = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]
    if not proxy or bypass(f"{host}:{port}", proxies) or bypass(host, proxies):
        return None
    if _in_networks(host, proxies.get("no", "")):
        return None
    return proxy if "://" in proxy else "http://" + proxy


def _in_networks(host: str, exceptions: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in exceptions.split(","):
        try:
            if address in ipaddress.ip_network(entry.strip().strip("[]"), strict=False):
                return True
        except ValueError:
            continue
    return False


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


class Body:
    """The bytes of one answer, from ``start`` on; ``total_bytes`` is the whole file's size when the server told it."""

    def __init__(
        self,
        response: http.client.HTTPResponse,
        *,
        url: str,
        start: int,
        length_bytes: int,
        total_bytes: Optional[int],
        whole: bool,
    ) -> None:
        self._response = response
        self.url = url
        self.start = start
        self.length_bytes = length_bytes
        self.total_bytes = total_bytes
        self.whole = whole
        # Weak validators promise equal meaning, not equal bytes.
        etag = response.getheader("ETag")
        self.etag = etag if etag and not etag.startswith("W/") else None
        self.linked_etag = response.getheader("X-Linked-ETag")
        self._left = length_bytes
        # A chunked body needs the response's own reader; otherwise one receive goes straight into the caller's buffer,
        # returns what there is, and so loses nothing when the next one times out.
        self._receive = response.readinto if response.chunked else response.fp.readinto1

    def readinto(self, view: memoryview) -> int:
        """Receive at least one byte into the view; 0 only at the end of the body."""
        if not self._left:
            return 0
        if len(view) > self._left:
            view = view[: self._left]
        try:
            count = self._receive(view)
        except socket.timeout as error:
            raise Transient(f"{self.shown} stalled: no byte arrived in time.", reason="stall") from error
        except http.client.IncompleteRead:
            count = 0
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Transient(f"The connection to {self.shown} broke: {_say(error)}.", reason="reset") from error
        if not count:
            raise Transient(
                f"{self.shown} ended {self._left} bytes early (range of {self.length_bytes} bytes at {self.start}).",
                reason="short-body",
            )
        self._left -= count
        return int(count)

    @property
    def shown(self) -> str:
        return shown_url(self.url)

    def close(self) -> None:
        """Let the connection go: for the next request when the body was read to its end, for good otherwise."""
        self._response.close()

    @property
    def finished(self) -> bool:
        return not self._left


class HttpClient:
    """Kept connections and what was learned about redirects; one for each thread, as a connection is no shared good."""

    def __init__(
        self,
        *,
        token: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
        ca_file: Optional[str] = None,
        timeout_seconds: float = READ_TIMEOUT_SECONDS,
    ) -> None:
        self._token = token
        self._headers = dict(headers or {})
        self._ca_file = ca_file
        self._timeout_seconds = timeout_seconds
        self._connections: Dict[Tuple[str, str, int], http.client.HTTPConnection] = {}
        self._moved_to: Dict[str, str] = {}
        self._body: Optional[Body] = None
        self._context: Optional[ssl.SSLContext] = None

    def open_range(self, url: str, start: int, length_bytes: int) -> Body:
        """Ask for a range. ``Body.whole`` tells that the server knows no ranges and sends the file from byte 0."""
        self._finish_last_body()
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
            # Hugging Face tells the file's sum in its redirect; the object store behind it does not know it.
            linked_etag = response.getheader("X-Linked-ETag") or linked_etag
            self._discard(where, response)
            target = urllib.parse.urljoin(where, location)
            if origin_of(where)[0] == "https" and origin_of(target)[0] == "http":
                raise SourceError(
                    f"{shown_url(where)} redirects from https to plain http ({shown_url(target)}).",
                    "Name a mirror that keeps to https, or one that is http from the beginning.",
                    reason="bad-redirect",
                )
            where = target
            response = self._get(url, where, start, length_bytes)
        else:
            raise SourceError(
                f"{shown_url(url)} redirects more than {REDIRECTS_AT_MOST} times.",
                "Look at this server or name another mirror.",
                reason="bad-redirect",
            )
        try:
            body = judge(response, where, start, length_bytes)
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
            raise Transient(
                f"{shown_url(where)} did not answer within {self._timeout_seconds:g} s.", reason="stall"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self._drop(where)
            raise Transient(f"{shown_url(where)} closed the connection: {_say(error)}.", reason="reset") from error

    def _request_headers(self, asked: str, where: str) -> Dict[str, str]:
        headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
        at_home = origin_of(asked) == origin_of(where)
        for name, value in self._headers.items():
            if at_home or name.lower() not in _CREDENTIAL_HEADERS:
                headers[name] = value
        if self._token and at_home:
            headers["Authorization"] = f"Bearer {self._token}"
            headers["Cookie"] = f"m_session_id={self._token}"
        parts = urllib.parse.urlsplit(where)
        if parts.username is not None:
            headers["Authorization"] = _basic(parts.username, parts.password)
        return headers

    def _connect(self, url: str) -> Tuple[http.client.HTTPConnection, str, Dict[str, str]]:
        """The connection to ask, the request target to send on it, and headers that are meant for a proxy."""
        scheme, host, port = origin_of(url)
        parts = urllib.parse.urlsplit(url)
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        proxy = proxy_for(scheme, host, port)
        extra: Dict[str, str] = {}
        if proxy and scheme == "http":
            netloc = parts.netloc.rpartition("@")[2]
            target = urllib.parse.urlunsplit((scheme, netloc, parts.path or "/", parts.query, ""))
            extra = _proxy_authorization(proxy)
        connection = self._connections.get((scheme, host, port))
        if connection is None or connection.sock is None:
            connection = self._new_connection(scheme, host, port, proxy)
            try:
                connection.connect()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise _connect_problem(url, proxy, error) from error
            connection.sock.settimeout(self._timeout_seconds)
            self._connections[(scheme, host, port)] = connection
        return connection, target, extra

    def _new_connection(self, scheme: str, host: str, port: int, proxy: Optional[str]) -> http.client.HTTPConnection:
        first_host, first_port = host, port
        if proxy:
            parts = urllib.parse.urlsplit(proxy)
            if parts.scheme != "http" or not parts.hostname:
                raise TransferError(
                    f"The proxy {shown_url(proxy)} is not an http address.",
                    "Set http_proxy and https_proxy to http://HOST:PORT.",
                    reason="bad-proxy",
                )
            first_host, first_port = parts.hostname, parts.port or 80
        if scheme == "http":
            return http.client.HTTPConnection(first_host, first_port, timeout=CONNECT_TIMEOUT_SECONDS)
        if self._context is None:
            self._context = tls_context(self._ca_file)
        connection = http.client.HTTPSConnection(
            first_host, first_port, timeout=CONNECT_TIMEOUT_SECONDS, context=self._context
        )
        if proxy:
            connection.set_tunnel(host, port, headers=_proxy_authorization(proxy))
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


def judge(response: http.client.HTTPResponse, url: str, start: int, length_bytes: int) -> Body:
    """The answer's body when it is the range that was asked for, an error that names what is wrong otherwise."""
    shown = shown_url(url)
    if response.status not in (200, 206):
        raise _refusal(response, shown)
    encoding = (response.getheader("Content-Encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise SourceError(
            f"{shown} came compressed ({encoding}) although it was asked for as it is: a proxy changes bytes.",
            "Take that proxy out of the way (no_proxy) or name another mirror.",
            reason="compressed",
        )
    content_type = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
    if content_type in ("text/html", "application/xhtml+xml"):
        raise SourceError(
            f"{shown} answered with an HTML page instead of the file, as login pages and captive portals do.",
            "Open the address in a browser to see it; set a token, or no_proxy for this host.",
            reason="html-page",
        )
    if content_type == "application/json":
        said = response.read(200).decode("utf-8", "replace")
        raise SourceError(
            f"{shown} answered with JSON instead of the file: {said}",
            "Look at what it says; a wrong path, revision or token is the usual reason.",
            reason="json-answer",
        )
    if response.status == 200:
        total = response.length
        # Without a length the body is as long as what was asked for, as far as this reader cares.
        length = start + length_bytes if total is None else total
        return Body(response, url=url, start=0, length_bytes=length, total_bytes=total, whole=True)
    stated = response.getheader("Content-Range") or ""
    match = _CONTENT_RANGE.match(stated.strip())
    first, last, total = -1, -1, None
    if match:
        first, last = int(match.group(1)), int(match.group(2))
        total = None if match.group(3) == "*" else int(match.group(3))
    at_the_end = total is not None and last == total - 1
    wanted_last = start + length_bytes - 1
    if first != start or last < first or last > wanted_last or (last < wanted_last and not at_the_end):
        raise SourceError(
            f"{shown} was asked for bytes {start}-{wanted_last} and answered with "
            f"{'range ' + repr(stated) if stated else 'no Content-Range at all'}.",
            "This server's ranges cannot be trusted: name another mirror.",
            reason="wrong-range",
        )
    length = last - first + 1
    if response.length is not None and response.length != length:
        raise SourceError(
            f"{shown} announces {response.length} bytes for a range of {length} bytes.",
            "This server's ranges cannot be trusted: name another mirror.",
            reason="wrong-length",
        )
    return Body(response, url=url, start=first, length_bytes=length, total_bytes=total, whole=False)


def read_range(
    url: str,
    start: int,
    length_bytes: int,
    *,
    token: Optional[str] = None,
    headers: Optional[Mapping[str, str]] = None,
    timeout_seconds: float = READ_TIMEOUT_SECONDS,
    ca_file: Optional[str] = None,
    client: Optional[HttpClient] = None,
) -> bytes:
    """One small range in one piece; shorter than asked only where the file ends.

    Pass a ``client`` to keep connections over several calls (token, headers and timeout are then the client's).
    """
    own = client or HttpClient(token=token, headers=headers, ca_file=ca_file, timeout_seconds=timeout_seconds)
    try:
        return read_body(own.open_range(url, start, length_bytes), start, length_bytes)
    finally:
        if client is None:
            own.close()


def read_body(body: Body, start: int, length_bytes: int) -> bytes:
    """The wanted bytes of a body, also out of one that begins at byte 0 because the server knows no ranges."""
    skip = start - body.start
    scratch = memoryview(bytearray(min(skip, 1 << 20)))
    while skip > 0:
        skip -= body.readinto(scratch[: min(skip, len(scratch))])
    wanted = min(length_bytes, body.start + body.length_bytes - start)
    data = bytearray(max(wanted, 0))
    view = memoryview(data)
    while view:
        view = view[body.readinto(view) :]
    return bytes(data)


def retry_after_seconds(value: Optional[str], *, now: Optional[float] = None) -> Optional[float]:
    """Retry-After as seconds from now: a number, or a date."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError):
        return None
    return max(0.0, when - (time.time() if now is None else now))


def _refusal(response: http.client.HTTPResponse, shown: str) -> TransferError:
    status = response.status
    answered = f"{shown} answered {status} {response.reason}".rstrip() + "."
    if status in _RETRY_LATER:
        return Transient(
            answered,
            reason=f"status-{status}",
            retry_after_seconds=retry_after_seconds(response.getheader("Retry-After")),
            busy=status in _BUSY,
        )
    remedies = {
        401: ("unauthorized", "Set a token that may read this repository."),
        403: ("unauthorized", "Set a token that may read this repository; its licence may have to be accepted first."),
        404: ("not-found", "The file is not there: resolve again, or correct the mirror's address."),
        407: ("bad-proxy", "The proxy wants a user and a password: http://USER:PASSWORD@HOST:PORT."),
        410: ("not-found", "The file is gone: resolve again."),
        416: ("shorter-than-listed", "The file there is shorter than the lock says: resolve again."),
    }
    reason, remedy = remedies.get(status, (f"status-{status}", "Look at this server or name another mirror."))
    return SourceError(answered, remedy, reason=reason)


def _connect_problem(url: str, proxy: Optional[str], error: Exception) -> TransferError:
    way = f" through the proxy {shown_url(proxy)}" if proxy else ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return SourceError(
            f"The certificate of {shown_url(url)} is not trusted: {error.verify_message}.",
            "Install the authority on this host or name its file in ca_file.",
            reason="untrusted-certificate",
        )
    return Transient(
        f"No connection to {shown_url(url)}{way}: {_say(error)}.",
        "Check that the address is right and that this host may reach it (firewall, proxy, DNS).",
        reason="unreachable",
    )


def _say(error: Exception) -> str:
    return str(error) or type(error).__name__


def _basic(user: str, password: Optional[str]) -> str:
    pair = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _proxy_authorization(proxy: str) -> Dict[str, str]:
    parts = urllib.parse.urlsplit(proxy)
    if parts.username is None:
        return {}
    return {"Proxy-Authorization": _basic(parts.username, parts.password)}
