# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Whether the addresses that services are to listen on are free, and private where they have to be."""

from __future__ import annotations

from typing import Callable, List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.listen import is_loopback
from ansible_collections.gguf.fleet.plugins.module_utils._host import processes
from ansible_collections.gguf.fleet.plugins.module_utils._host.users import name_of
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import masked_text
from ansible_collections.gguf.fleet.plugins.module_utils._service import addresses
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem


def refuse_taken(
    services: Mapping[str, Sequence[str]], going: Sequence[str], pid_of: Callable[[str], int], remedy: str
) -> None:
    """Raises ServiceProblem where something else holds an address of these services.

    Args:
        services: by name, the addresses (C(address:port)) that each is going to listen on.
        going: other services of ours, which are removed before these are started.
        pid_of: the main process of a service of ours, 0 where it does not run.
    """
    taken = [
        conflict
        for service, addresses_of_it in services.items()
        for text in addresses_of_it
        for conflict in _conflicts(text, (service, *going), pid_of)
    ]
    if taken:
        raise ServiceProblem(f"{'; '.join(taken)}.", remedy)


def is_held_by(text: str, pid: int) -> bool:
    """Whether a process, or one that it started, listens at this address (C(address:port))."""
    address, _colon, port = text.rpartition(":")
    sockets = processes.listeners(address.strip("[]"), int(port))
    return bool(sockets) and _is_of(sockets, processes.holder({socket.inode for socket in sockets}), pid)


def _is_of(sockets: Sequence[processes.Connection], holder: Optional[processes.Process], pid: int) -> bool:
    """Where nobody may look into processes of others, the user of the socket has to do."""
    if holder is not None:
        return pid in processes.ancestors(holder.pid)
    return sockets[0].uid == processes.owner(pid)


def _conflicts(text: str, ours: Sequence[str], pid_of: Callable[[str], int]) -> List[str]:
    """Who else holds an address. A service of ours that holds it is how it should be."""
    address, _colon, port = text.rpartition(":")
    sockets = processes.listeners(address.strip("[]"), int(port))
    if not sockets:
        return []
    holder, uid = processes.holder({socket.inode for socket in sockets}), sockets[0].uid
    if any(_is_of(sockets, holder, pid) for pid in filter(None, map(pid_of, ours))):
        return []
    if holder is not None:
        who = f"{holder.name} (pid {holder.pid}, {masked_text(holder.command)})"
    else:
        who = f"a process of user {name_of(uid)}"
    return [f"port {port} of {sockets[0].local[0]} is in use by {who}"]


def closing(services: Mapping[str, Sequence[str]], pid_of: Callable[[str], int]) -> List[str]:
    """Where services of ours listen for other machines now, of those that are going to listen on loopback only.

    services, pid_of: as for refuse_taken.
    """
    found = []
    for service, texts in services.items():
        for address, _colon, port in (text.rpartition(":") for text in texts):
            if not is_loopback(address.strip("[]")):
                continue
            sockets = [
                socket
                for socket in processes.connections()
                if (socket.state, socket.local[1]) == (processes.LISTEN, int(port)) and not is_loopback(socket.local[0])
            ]
            holder = processes.holder({socket.inode for socket in sockets}) if sockets else None
            if sockets and any(_is_of(sockets, holder, pid) for pid in filter(None, [pid_of(service)])):
                found += [f"{socket.local[0]}:{port}" for socket in sockets]
    return sorted(set(found))


def refuse_public(given: Mapping[str, str]) -> None:
    """Raises ServiceProblem for an address of an RPC server that more than a private network reaches.

    given: addresses, each by the setting that says it. RPC has neither authentication nor encryption.
    """
    for setting, address in given.items():
        problem = addresses.private_problem(address, addresses.of_host())
        if problem:
            raise ServiceProblem(
                f'{setting} is "{address}", which {problem}.',
                "Whoever reaches the RPC server can run code on this host, so give it the address of an interface in a "
                "private network, with the other llama.cpp hosts only (127.0.0.1 for a test on one host).",
            )
