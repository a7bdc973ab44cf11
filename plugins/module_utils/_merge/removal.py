# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Remove a merged file and what an unfinished merge left, but never the only copy of a consumed shard."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_file
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger, sync_directory
from ansible_collections.gguf.fleet.plugins.module_utils._merge.journal import read_journal
from ansible_collections.gguf.fleet.plugins.module_utils._merge.plan import MergeRequest
from ansible_collections.gguf.fleet.plugins.module_utils._merge.writing import exclusive


@dataclass(frozen=True)
class RemovalPlan:
    request: MergeRequest
    files: tuple[tuple[str, int], ...]  # (path, bytes)
    recorded: bool

    @property
    def changed(self) -> bool:
        return bool(self.files) or self.recorded

    @property
    def actions(self) -> list[dict[str, Any]]:
        return [{"action": "remove", "path": path, "size_bytes": size_bytes} for path, size_bytes in self.files]

    @property
    def listing(self) -> str:
        return "".join(f"{path} ({size_bytes:,} bytes)\n" for path, size_bytes in self.files)


def plan_removal(request: MergeRequest, ledger: Ledger) -> RemovalPlan:
    """Which files are to go."""
    dest = os.path.abspath(request.dest)
    if os.path.isdir(dest):
        raise GgufError(f"{dest} is a directory.", "Give the merged file as dest.")
    journal = read_journal(request.journal)
    if journal is not None and not os.path.lexists(dest):
        lost = [journal.job.shards[index].path for index in sorted(journal.verified)]
        lost = [path for path in lost if not os.path.exists(path)]
        if lost:
            raise GgufError(
                f"an unfinished merge into {dest} holds the only copy of {len(lost)} consumed shards, first {lost[0]}.",
                f"Finish it with state: present. To lose them: rm {request.temporary} {request.journal}",
            )
    paths = [path for path in (dest, request.temporary, request.journal, request.status) if os.path.lexists(path)]
    return RemovalPlan(
        request=request,
        files=tuple((path, os.lstat(path).st_size) for path in paths),
        recorded=any(entry.path == dest for entry in ledger.entries()),
    )


def apply_removal(plan: RemovalPlan, ledger: Ledger) -> None:
    """Remove the files of the plan, and the record."""
    for path, _size_bytes in plan.files:
        if path == plan.request.temporary:
            # fails while a merge is writing it
            with exclusive(path) as temporary:
                os.unlink(temporary.name, dir_fd=temporary.directory.fd)
        else:
            remove_file(path)
    if plan.files:
        sync_directory(os.path.dirname(os.path.abspath(plan.request.dest)))
    if plan.recorded:
        ledger.forget(plan.request.dest)
