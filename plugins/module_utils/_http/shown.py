# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""URLs for messages: what may be a secret in them is left out.

A user and a password before the host, and the whole query (signed URLs carry their signature there), are nobody's
business but the server's.
"""

from __future__ import annotations

import re
from typing import List, Tuple

_PARTS = re.compile(r"(?s)(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)?(?P<rest>[^?#]*)(?:\?(?P<query>[^#]*))?")


def shown(url: str) -> str:
    """The URL as it may be printed: no user, no password, and `?...` in place of a query."""
    scheme, _user, place, query = _split(url)
    return f"{scheme}{place}{'?...' if query else ''}"


def secrets_of(url: str) -> List[str]:
    """What `shown` leaves out, and the password by itself: texts that no output may hold."""
    _scheme, user, _place, query = _split(url)
    return [text for text in (user, user.partition(":")[2], query) if text]


def _split(url: str) -> Tuple[str, str, str, str]:
    found = _PARTS.match(url)
    if found is None:
        raise AssertionError("every text matches")
    scheme, rest, query = found["scheme"] or "", found["rest"], found["query"] or ""
    host, slash, path = rest.partition("/")
    # A password that holds a slash makes no valid URL, but it is still a password: "user:pass/word@host/".
    if "@" not in host and "@" in path and re.search(r":(?![0-9]*\Z)[^]]*\Z", host):
        host, slash, path = rest, "", ""
        user, _at, place = host.rpartition("@")
        return scheme, user, place, query
    user, _at, host = host.rpartition("@")
    return scheme, user, host + slash + path, query
