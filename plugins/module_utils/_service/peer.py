# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Who is at the other end of a connection within this host: the service, or somebody who took its port.

The kernel is asked about the connection itself and not about who listens: who listened when it was made need not be
who listens now. So nothing may be sent before the other end has accepted it.
"""

from __future__ import annotations

import socket
import time
from typing import Callable, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._host import processes
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem

ACCEPT_SECONDS = 10.0
POLL_SECONDS = 0.02
# The kernel shows an accepted socket a moment before the process has its number.
LOOKS = 5
REMEDY = "Look who holds the port (ss -ltnp). The service was sent nothing; stop what is in its place and run again."


class NotTheService(ServiceProblem):
    """Nothing was sent: the other end is not the service, or it cannot be told."""


def prove(
    sock: socket.socket,
    pid: Callable[[], int],
    *,
    proc: str = "/proc",
    seconds: float = ACCEPT_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return when the other end of this connection belongs to the process `pid` or one below it.

    Where we may not look into these processes (without CAP_SYS_PTRACE), the other end's user must be theirs. Raises
    NotTheService.
    """
    where = "{}:{}".format(*sock.getpeername()[:2])
    end = clock() + seconds
    looks = 0
    while True:
        other = other_end(sock, proc)
        # Until it is accepted a connection has neither a socket of its own nor a user.
        if other is not None and other.inode != "0":
            service = pid()
            looks += 1
            if service and belongs(other, service, proc):
                return
            if looks >= LOOKS:
                raise _not_the_service(where, other, service, proc)
        elif clock() >= end:
            raise NotTheService(
                f"{where} is not answered by a process of this host that takes the connection.",
                "Nothing was sent. The service must listen on this host itself, without a proxy before it.",
            )
        sleep(POLL_SECONDS)


def other_end(sock: socket.socket, proc: str) -> Optional[processes.Connection]:
    """The row of the kernel's table in which our peer is the local side."""
    theirs, ours = sock.getpeername()[:2], sock.getsockname()[:2]
    return next(
        (found for found in processes.connections(proc) if (found.local, found.remote) == (theirs, ours)),
        None,
    )


def belongs(other: processes.Connection, pid: int, proc: str) -> bool:
    hidden = False
    for member in processes.family(pid, proc):
        try:
            if other.inode in processes.sockets(member, proc):
                return True
        except PermissionError:
            hidden = True
        except OSError:  # it has ended
            continue
    return hidden and other.uid == processes.user(pid, proc)


def _not_the_service(where: str, other: processes.Connection, pid: int, proc: str) -> NotTheService:
    holder = processes.holder({other.inode}, proc)
    who = f"{holder.name} (pid {holder.pid})" if holder else f"a process of the user with the number {other.uid}"
    service = f"pid {pid}" if pid else "which has no process now"
    return NotTheService(f"{where} is answered by {who}, not by the service ({service}).", REMEDY)
