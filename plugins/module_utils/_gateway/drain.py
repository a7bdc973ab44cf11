# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Instances that a gateway sends nothing new to, while what streams goes on to its end."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import open_regular
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_file
from ansible_collections.gguf.fleet.plugins.module_utils._gateway import admin
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.fragments import KEEP_ALIVE_SECONDS
from ansible_collections.gguf.fleet.plugins.module_utils._host import processes
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines

# ENDED: of an instance that was removed, whatever becomes of its host. STARTED: it is there again.
DRAINED, READY, ENDED, STARTED = "drained", "ready", "ended", "started"
_WORDS = {DRAINED: "drain", READY: "ready", ENDED: "maint", STARTED: "ready"}
DEEDS = {DRAINED: "drain", READY: "give back", ENDED: "take out", STARTED: "take in"}
# By the admin socket: no new requests. (FDRAIN and FMAINT of HAProxy's srv_admin_state.)
_FORCED_DRAIN, _FORCED_MAINTENANCE = 8, 1
# Backends in which a gateway only asks whether an instance is ready begin otherwise.
_BACKENDS = "model_"
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Server:
    """One of HAProxy's. streams: requests that run there now, by the process that answers. address: and its port."""

    backend: str
    name: str
    admin_state: int
    streams: int
    address: Tuple[str, int] = ("", 0)

    @property
    def path(self) -> str:
        return f"{self.backend}/{self.name}"

    @property
    def state(self) -> str:
        if self.admin_state & _FORCED_MAINTENANCE:
            return ENDED
        return DRAINED if self.admin_state & _FORCED_DRAIN else READY

    def is_in(self, state: str) -> bool:
        """Whether nothing is to be done. What was ended is neither drained nor given back with its host."""
        if state in (ENDED, STARTED):
            return (self.state == ENDED) == (state == ENDED)
        return self.state in (state, ENDED)


def state_file(name: str) -> str:
    """What a HAProxy reads at its start of the servers that were drained before."""
    return f"/var/lib/gguf-fleet/{name}/server-state"


def look(socket: str, names: Sequence[str]) -> List[Server]:
    """The servers of these names in all backends; `*` at the end of one stands for whatever follows.

    Raises AdminProblem where HAProxy does not answer.
    """
    exact = [name for name in names if not name.endswith("*")]
    beginnings = tuple(name[:-1] for name in names if name.endswith("*"))
    streams = {
        (row["pxname"], row["svname"]): int(row.get("scur") or 0)
        for row in admin.rows(admin.ask(socket, "show stat -1 4 -1"))
    }
    return [
        Server(
            row["be_name"],
            row["srv_name"],
            int(row["srv_admin_state"], 0),
            streams.get((row["be_name"], row["srv_name"]), 0),
            (row["srv_addr"], int(row["srv_port"])),
        )
        for row in states(admin.ask(socket, "show servers state"))
        if (row["srv_name"] in exact or row["srv_name"].startswith(beginnings)) and row["be_name"].startswith(_BACKENDS)
    ]


def states(answer: str) -> List[Dict[str, str]]:
    """The lines of `show servers state` by its column names."""
    told = lines(answer)
    columns = next((line.lstrip("# ").split() for line in told if line.startswith("#")), [])
    rows = [dict(zip(columns, line.split())) for line in told if not line.startswith("#")]
    return [row for row in rows if "srv_admin_state" in row]


def bring(socket: str, name: str, servers: Sequence[Server], state: str) -> None:
    """Bring these servers to a state, and keep that for the next start of HAProxy. Raises AdminProblem."""
    for server in servers:
        said = admin.ask(socket, f"set server {server.path} state {_WORDS[state]}").strip()
        if said:
            raise admin.AdminProblem(f"HAProxy refuses to set {server.path} to {state}: {said}.", "Look at its log.")
    save_state(socket, name)


def wait_for_streams(
    socket: str,
    names: Sequence[str],
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """How many requests still run on these servers when the last one has ended, or when this time is over.

    Those that a process from before the last reload streams are among them. Such a process does not know that the
    servers are drained: it is waited for as long as it may get one more request, on a connection that a client kept.
    """
    end = clock() + seconds
    while True:
        found = look(socket, names)
        left = max(sum(server.streams for server in found), _connections(socket, found))
        reloaded = admin.seconds_since_reload(socket)
        ended = not left and (reloaded is None or reloaded > KEEP_ALIVE_SECONDS)
        if ended or clock() >= end:
            return left
        sleep(min(_POLL_SECONDS, max(0.0, end - clock())))


def _connections(socket: str, servers: Sequence[Server]) -> int:
    """Of all HAProxy's processes to these servers. Each is a request, since none is kept, or a check of a moment."""
    addresses = {server.address for server in servers}
    user = processes.user(admin.worker(socket))
    return sum(
        one.state == processes.ESTABLISHED and one.uid == user and one.remote in addresses
        for one in processes.connections()
    )


def save_state(socket: str, name: str) -> None:
    """Keep the state of a HAProxy's servers for the process that follows."""
    write_file(state_file(name), admin.ask(socket, "show servers state").encode(), mode=0o600, make_parents=True)


def make_state_file(name: str) -> None:
    """HAProxy warns of one that is missing."""
    try:
        os.close(open_regular(state_file(name)))
    except FileNotFoundError:
        write_file(state_file(name), b"", mode=0o600, make_parents=True)
