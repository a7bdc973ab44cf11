# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Files that are there already, proved as a download is, without a byte of the network."""

from __future__ import annotations

import os
from typing import Callable, Dict, List, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.hashing import cores
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import input_size
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.digests import Digest, Digests
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.files import HeadersInMemory, Storage
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import Plan
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Gauge, Status
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.window import Window

_BUFFERS = 16
_THREADS_AT_MOST = 8
_TICK_SECONDS = 0.25


def provable(plan: Plan) -> bool:
    """Whether the lock knows enough checksums: of the whole, or of every file."""
    return all(output.sha256 for output in plan.outputs) or all(
        digest.expected for digest in plan.digests if digest.repair is not None
    )


def prove(plan: Plan, paths: Sequence[str], tick: Callable[[Status], None]) -> Optional[Dict[str, str]]:
    """The checksums of the files at these paths when they are what the plan would make, None otherwise."""
    if not provable(plan):
        return None
    try:
        if any(input_size(path) != output.size_bytes for path, output in zip(paths, plan.outputs)):
            return None
    except FileNotFoundError:
        return None
    except PathProblem as problem:
        raise TransferError(problem.problem, problem.remedy, reason="not-readable") from problem
    kept = HeadersInMemory(plan)
    storage = Storage.read_only(plan, kept, paths)
    try:
        return _prove_open(plan, storage, tick) if storage.has_own_bytes() else None
    finally:
        storage.close()
        os.close(kept.descriptor)


def _prove_open(plan: Plan, storage: Storage, tick: Callable[[Status], None]) -> Optional[Dict[str, str]]:
    wrong: List[Digest] = []
    failed: List[BaseException] = []
    digests = Digests(
        plan,
        Window(plan, storage, b"\1" * plan.block_count, _BUFFERS),
        threads=max(2, cores(_THREADS_AT_MOST)),
        on_wrong=wrong.append,
        on_error=failed.append,
    )
    gauge = Gauge()
    digests.start()
    try:
        while not (digests.finished or wrong or failed):
            digests.wait(_TICK_SECONDS)
            done, total = digests.progress()
            status = gauge.status("verify", done, total)
            status.message = "a file that is there already"
            tick(status)
    finally:
        digests.stop()
    if failed:
        raise failed[0]
    if wrong or not all(digest.is_right for digest in digests.all):
        return None
    return {**digests.values(), **plan.implied}
