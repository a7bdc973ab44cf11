# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Room for everything that one run fetches, on each file system together, before a byte of it moves."""

from __future__ import annotations

import os
from typing import Dict, List, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._host.disk import existing_directory, free_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._host.sizes import shown_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.files import needed_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.known import known_files
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.controller import ROOM_BYTES
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import BLOCK_BYTES, Output
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.request import Request
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.work import already_there


def check_room_together(requests: Sequence[Request], ledger: Ledger) -> None:
    """Refuse what does not fit as a whole, by the sizes in the locks and what is on the disks already.

    A file of the right size in its place counts as there: that it is the right one shows when it is read.

    Raises:
        TransferError: with each file system that is too small, what every download takes of it, and what is missing.
    """
    missing: Dict[int, List[Tuple[Request, int]]] = {}
    places: Dict[int, str] = {}
    for request in _different(requests):
        there = already_there(request, ledger) is not None or known_files(request, ledger) is not None
        count = 0 if there else missing_bytes(request)
        if count:
            directory = existing_directory(os.path.dirname(os.path.abspath(request.paths[0])))
            device = os.stat(directory).st_dev
            missing.setdefault(device, []).append((request, count))
            # The shortest path that is on it: where an operator looks for room.
            places[device] = min(places.get(device, directory), directory, key=len)
    refused = []
    short = 0
    for device, each in missing.items():
        free, needed = free_bytes(places[device]), sum(count for _request, count in each)
        if needed > free:
            short += needed - free
            refused.append(_refusal(places[device], free, each))
    if refused:
        raise TransferError(
            "\n".join(refused),
            f"Free {shown_bytes(short)} there, or choose a directory on another disk. Nothing was fetched.",
            reason="disk-full",
        )


def missing_bytes(request: Request) -> int:
    """What the request still takes from its disk, by the lock: its files, and what is kept beside them meanwhile."""
    outputs = [Output(path, size_bytes, None) for path, size_bytes in zip(request.paths, request.sizes)]
    outputs = [output for output in outputs if not _is_of_size(output.path, output.size_bytes)]
    if not outputs:
        return 0
    kept = sum(-(-file.size_bytes // BLOCK_BYTES) + (file.header_bytes or 0) for file in request.files)
    pieces = ROOM_BYTES if request.from_controller else 0
    return needed_bytes(outputs) + pieces + (0 if os.path.lexists(request.places.journal) else kept)


def _different(requests: Sequence[Request]) -> List[Request]:
    """Each once. Two names of one quant mean the same file."""
    found: Dict[str, Request] = {}
    for request in requests:
        other = found.setdefault(request.paths[0], request)
        if other.fingerprint != request.fingerprint:
            raise TransferError(
                f"{other.shown_name} and {request.shown_name} are different files and both go to {request.dest}.",
                "Give each a dest of its own.",
                reason="bad-option",
            )
    return list(found.values())


def _refusal(directory: str, free: int, each: Sequence[Tuple[Request, int]]) -> str:
    needed = sum(count for _request, count in each)
    parts = [f"{request.shown_name} {shown_bytes(count)} ({count:,} bytes)" for request, count in each]
    return (
        f"{directory} has {shown_bytes(free)} free ({free:,} bytes); {shown_bytes(needed)} more are needed "
        f"({needed:,} bytes): {', '.join(parts)}. {shown_bytes(needed - free)} are missing."
    )


def _is_of_size(path: str, size_bytes: int) -> bool:
    try:
        return os.stat(path).st_size == size_bytes
    except OSError:
        return False
