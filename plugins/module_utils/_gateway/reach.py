# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Whether a gateway reaches the hosts that it is to send requests to, before anything of it changes.

Hosts that it knows already are left out: one that is down for a while is what its checks are for.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import List, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.listen import bracketed
from ansible_collections.gguf.fleet.plugins.module_utils._http.deadline import Connection, Deadline
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

CONNECT_SECONDS = 5.0
_AT_ONCE = 16


class ReachProblem(Problem):
    """A host does not take a connection of this gateway."""


@dataclass(frozen=True)
class Place:
    """Where a host takes requests: its door, or an engine."""

    host: str
    address: str
    port: int

    @property
    def text(self) -> str:
        return f"{bracketed(self.address)}:{self.port}"


def new_places(places: Sequence[Place], configuration: str) -> List[Place]:
    """Those that a configuration of HAProxy has no server for."""
    known = {words[2] for words in map(str.split, configuration.split("\n")) if words[:1] == ["server"] and words[2:]}
    return [place for place in places if place.text not in known]


def refuse_unreachable(places: Sequence[Place]) -> None:
    """Raises ReachProblem, with all that take no connection."""
    if not places:
        return
    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(places))) as pool:
        told = [text for text in pool.map(_why_not, places) if text]
    if told:
        raise ReachProblem(
            f"This gateway does not reach {'; '.join(told)}. Nothing was changed on it.",
            "Run site.yml for these hosts too, open the port for this gateway, or correct the address (ansible_host). "
            "To go on without them: -e gateway_refuse_unreachable=false.",
        )


def _why_not(place: Place) -> str:
    connection = Connection(place.address, place.port, Deadline(CONNECT_SECONDS))
    with contextlib.closing(connection):
        try:
            connection.connect()
        except OSError as error:
            return f"{place.host} at {place.text} ({error.strerror or error})"
    return ""
