# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The end of a transfer: stopped with what it has, or removed with everything that it left."""

from __future__ import annotations

import contextlib
import os
import time
from typing import List

from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_file, remove_tree
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_file
from ansible_collections.gguf.fleet.plugins.module_utils._host.mounts import is_shared
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.files import write_problem
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.lease import current_holder
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.request import Request, Result

_LOOK_SECONDS = 0.5
_STOP_WAIT_SECONDS = 60.0


def absent(request: Request, ledger: Ledger, *, check: bool = False) -> Result:
    """Remove the files, what a transfer left of them, and the ledger's entries."""
    leftovers = [path for path in leftover_paths(request) if os.path.lexists(path)]
    files = [path for path in request.paths if os.path.lexists(path)]
    result = Result(
        changed=bool(leftovers or files),
        paths=request.paths,
        actions=[f"remove {path}" for path in [*files, *leftovers]],
    )
    if check or not result.changed:
        return result
    stopped(request)
    for path in files:
        try:
            remove_file(path)
        except OSError as error:
            raise write_problem(path, error) from error
    remove_leftovers(request)
    for path in request.paths:
        ledger.forget(path)
    with contextlib.suppress(OSError):
        remove_file(request.places.lock)
    return result


def stopped(request: Request, *, check: bool = False) -> Result:
    """Ask the run that works on it to end, and wait until it did. What it fetched stays."""
    shared = is_shared(request.places.anchor)
    holder = current_holder(request.places, shared=shared)
    result = Result(
        changed=holder is not None,
        paths=request.paths,
        actions=[f"stop {holder}"] if holder else [],
    )
    if check or holder is None:
        return result
    try:
        write_file(request.places.stop, b"", mode=0o600)
    except OSError as error:
        raise write_problem(request.places.stop, error) from error
    waited = 0.0
    while current_holder(request.places, shared=shared) is not None:
        if waited >= _STOP_WAIT_SECONDS:
            raise TransferError(
                f"{holder} did not stop within {_STOP_WAIT_SECONDS:g} s.",
                f"Look at it on that host; kill {holder.pid} ends it without loss.",
                reason="not-stopped",
            )
        time.sleep(_LOOK_SECONDS)
        waited += _LOOK_SECONDS
    return result


def leftover_paths(request: Request) -> List[str]:
    places = request.places
    files = (path + ".partial" for path in request.paths)
    return [*files, places.journal, places.status, places.stop, places.spool]


def remove_leftovers(request: Request) -> None:
    for path in leftover_paths(request):
        try:
            remove_tree(path) if path == request.places.spool else remove_file(path)
        except OSError as error:
            raise write_problem(path, error) from error
