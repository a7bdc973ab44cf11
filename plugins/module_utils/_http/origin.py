# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Addresses: their origin, how messages show them, and which origin gets which secret.

This is the only place that decides who is told a token, a header of the caller or a password. A token belongs to a hub,
so it goes to the origin (scheme, host and port) of that hub's endpoint; no mirror, no address of another origin in a
lock and no place that a server redirects to ever sees it.
"""

from __future__ import annotations

import base64
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import Dict, Mapping, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import SourceError

Origin = Tuple[str, str, int]

# The hubs that know tokens. A plain address may be anybody's, and a folder needs none.
TOKEN_HUBS = ("modelscope", "huggingface")

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[\w.:-]+\Z")
# All that RFC 3986 allows in an address, and the sign of what is encoded already.
_ADDRESS_CHARACTERS = ":/?#[]@!$&'()*+,;=%"


def shown_url(url: str) -> str:
    """The URL as messages may show it: without user, password and query (signed links carry secrets there)."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return "(not an address)"
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))


def origin_of(url: str) -> Origin:
    """Scheme, host and port: what has to be equal for credentials to go along."""
    try:
        parts = urllib.parse.urlsplit(url)
        scheme, host = parts.scheme.lower(), parts.hostname or ""
        port = parts.port
        # Names that no resolver takes, such as a..b, fail here and not in the middle of a transfer.
        host.encode("idna")
    except ValueError:
        scheme, host, port = "", "", None
    if scheme not in _DEFAULT_PORTS or not _HOST.match(host):
        raise SourceError(
            f"{shown_url(url)} is not an http or https address.",
            "Give a whole URL, with scheme and host.",
            reason="bad-url",
        )
    return scheme, host, port or _DEFAULT_PORTS[scheme]


def percent_encoded(url: str) -> str:
    """The address in the characters that an address may have; what is encoded already stays as it is."""
    return urllib.parse.quote(url, safe=_ADDRESS_CHARACTERS, errors="surrogatepass")


def redirect_target(where: str, location: str) -> str:
    """The address that a Location header names, seen from the address that answered."""
    try:
        # Header bytes are read as Latin-1; servers that do not encode mean the bytes themselves.
        encoded = urllib.parse.quote(location.strip().encode("latin-1"), safe=_ADDRESS_CHARACTERS)
        target = urllib.parse.urljoin(where, encoded)
        origin = origin_of(target)
    except (ValueError, SourceError):
        raise SourceError(
            f"{shown_url(where)} redirects to {location[:200]!a}, which is not an http or https address.",
            "Look at this server or name another mirror.",
            reason="bad-redirect",
        ) from None
    if origin_of(where)[0] == "https" and origin[0] == "http":
        raise SourceError(
            f"{shown_url(where)} redirects from https to plain http ({shown_url(target)}).",
            "Name a mirror that keeps to https, or one that is http from the beginning.",
            reason="bad-redirect",
        )
    return target


def basic_authorization(user: str, password: Optional[str]) -> str:
    pair = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


@dataclass(frozen=True)
class Secrets:
    """A token and headers of the caller, and the one origin that they are for."""

    origin: Optional[Origin] = None
    token: Optional[str] = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def headers_for(self, asked: str, where: str) -> Dict[str, str]:
        """What a request to ``where`` may carry, which the redirects of ``asked`` led to (or which is the same)."""
        found: Dict[str, str] = {}
        origin = origin_of(where)
        if origin_of(asked) != origin:
            return found
        if origin == self.origin:
            found.update(self.headers)
            if self.token:
                found["Authorization"] = f"Bearer {self.token}"
                found["Cookie"] = f"m_session_id={self.token}"
        parts = urllib.parse.urlsplit(asked)
        if parts.username is not None:
            found["Authorization"] = basic_authorization(parts.username, parts.password)
        return found


def hub_secrets(
    lock: Mapping[str, object], token: Optional[str] = None, headers: Optional[Mapping[str, str]] = None
) -> Secrets:
    """Who may be told what, for the files of a lock (or of a listing: anything with a hub and an endpoint)."""
    endpoint = lock.get("endpoint")
    try:
        origin = origin_of(endpoint) if isinstance(endpoint, str) else None
    except SourceError:
        origin = None
    return Secrets(origin, token if lock.get("hub") in TOKEN_HUBS else None, dict(headers or {}))
