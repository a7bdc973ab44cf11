# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What can go wrong while bytes move, each with what to do about it."""

from __future__ import annotations

from typing import Optional

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

# A server's wish to be left alone for a while is honoured, within reason.
RETRY_AFTER_AT_MOST_SECONDS = 600.0


class TransferError(Problem):
    """A transfer cannot go on: the problem and the remedy, one sentence each.

    ``reason`` names the kind of failure, so that a caller can tell them apart without reading the sentence.
    """

    def __init__(self, problem: str, remedy: str, *, reason: str = "failed") -> None:
        super().__init__(problem, remedy)
        self.reason = reason


class SourceError(TransferError):
    """This source cannot be used for this file, whatever the number of attempts; another one may do."""


class Transient(TransferError):
    """One attempt failed in a way that the next attempt may not.

    ``retry_after_seconds`` is the server's own wish, and such an answer says nothing bad about the bytes.
    """

    def __init__(
        self,
        problem: str,
        remedy: str = "It is tried again by itself; if this goes on, look at the server and the network between.",
        *,
        reason: str = "interrupted",
        retry_after_seconds: Optional[float] = None,
        busy: bool = False,
    ) -> None:
        super().__init__(problem, remedy, reason=reason)
        self.retry_after_seconds = retry_after_seconds
        self.busy = busy
