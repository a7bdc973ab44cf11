# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How far a merge is, for whoever wants to be told."""

from __future__ import annotations

from typing import Callable

MERGING = "merge"  # bytes are written
VERIFYING = "verify"  # bytes that are there already are read and proved

# Phase, bytes done, bytes of the whole phase. Called after every few MiB by the thread that moves them: to be quick.
Tell = Callable[[str, int, int], None]


def tell_nobody(_phase: str, _done: int, _total: int) -> None:
    """For a merge that nobody watches."""
