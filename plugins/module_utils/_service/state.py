# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a service is doing, whoever keeps it running, and how its manager's programs are asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Callable, List, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._process.bounded import ProcessProblem, run_bounded

# Longer than systemd's own limit for stopping a service, 90 s.
COMMAND_SECONDS = 200.0
COMMAND_BYTES = 4 * 2**20
# More of a log in a message hides what the message says.
LAST_WORDS_LINES = 5

Run = Callable[[Sequence[str]], Tuple[int, str]]


@dataclass(frozen=True)
class State:
    """What a service is doing now."""

    known: bool
    active: bool
    enabled: bool
    pid: int
    restarts: int
    stale: bool = False  # the manager has not read the unit's last change
    failure: str = ""


def last_words(log_tail: Callable[[int], List[str]]) -> str:
    """A sentence with the end of a service's log, or nothing when there is none."""
    said = [line.strip()[:200] for line in log_tail(LAST_WORDS_LINES) if line.strip()]
    return f" Its last words: {' | '.join(said)}" if said else ""


def run_command(argv: Sequence[str]) -> Tuple[int, str]:
    """The exit code, and what it wrote: its output first, then its errors."""
    environment = {**os.environ, "LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
    try:
        ended = run_bounded(argv, seconds=COMMAND_SECONDS, limit_bytes=COMMAND_BYTES, environment=environment)
    except ProcessProblem as error:
        return 127, error.problem
    return ended.code, (ended.stdout + ended.stderr).decode("utf-8", "replace")
