# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The address by which others on the network reach a host."""

from __future__ import annotations

import contextlib
import socket

# For documentation (RFC 5737), so the way to it is the default route. Nothing is sent there.
_ELSEWHERE = ("192.0.2.1", 9)


def default_address() -> str:
    """The IPv4 address of the interface of the default route; empty where there is no such route."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asking:
        try:
            asking.connect(_ELSEWHERE)
        except OSError:
            return ""
        return str(asking.getsockname()[0])
