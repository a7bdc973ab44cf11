# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A merge in a process of its own, that can be killed: from outside, or by itself at its nth system call.

Runs without site packages (python -I -S), so that it starts in a few hundredths of a second:
gguf_merge_process.py FIRST_SHARD DEST LEDGER CONSUME [KILL_AT]
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._merge import writing
from ansible_collections.gguf.fleet.plugins.module_utils._merge.merge import apply_merge
from ansible_collections.gguf.fleet.plugins.module_utils._merge.plan import (
    MergeRequest,
    plan_merge,
)

# Everything that changes a file.
CALLS = (
    "copy_file_range",
    "pwrite",
    "write",
    "ftruncate",
    "fchmod",
    "fsync",
    "fdatasync",
    "rename",
    "replace",
    "unlink",
)
WINDOW_BYTES = 50_000
CHECKPOINT_BYTES = 130_000


def die_at(number: int) -> None:
    """Kill this process before its nth change of a file."""
    done = [0]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            done[0] += 1
            if done[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **options)

        return wrapper

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


def main(first: str, dest: str, ledger_path: str, consume: str, kill_at: str = "0") -> None:
    directory = Path(first).parent
    digests = {}
    for line in (directory / "digests").read_text().splitlines():
        name, digest = line.split()
        digests[name] = digest
    ledger = Ledger(ledger_path)
    plan = plan_merge(MergeRequest(first, dest, consume=consume == "consume", shard_sha256=digests), ledger)
    writing.WINDOW_BYTES = WINDOW_BYTES
    if int(kill_at):
        die_at(int(kill_at))
    print("begin", flush=True)
    result = apply_merge(plan, ledger, checkpoint_bytes=CHECKPOINT_BYTES)
    print(result.sha256, result.resumed_bytes, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
