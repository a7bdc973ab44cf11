# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A range of a file on a hub, as the product's HTTP client brings it."""

from __future__ import annotations

from typing import Optional

from ansible_collections.gguf.fleet.plugins.module_utils._http.answer import read_body
from ansible_collections.gguf.fleet.plugins.module_utils._http.client import NO_SECRETS, HttpClient, Secrets


def read_range(
    url: str,
    start: int,
    length_bytes: int,
    *,
    secrets: Secrets = NO_SECRETS,
    ca_file: Optional[str] = None,
    client: Optional[HttpClient] = None,
) -> bytes:
    """One small range in one piece; shorter than asked only where the file ends.

    Pass a ``client`` to keep connections over several calls (secrets and authorities are then the client's).
    """
    own = client or HttpClient(secrets=secrets, ca_file=ca_file)
    try:
        body = own.open_range(url, start, length_bytes)
        return read_body(body, start, length_bytes, timeout_seconds=own.timeout_seconds)
    finally:
        if client is None:
            own.close()
