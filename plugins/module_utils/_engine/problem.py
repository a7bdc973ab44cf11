# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a running engine can fail at."""

from __future__ import annotations

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem


class EngineProblem(Problem):
    """An engine that does not serve as it should.

    :ivar problem: what is wrong, and where.
    :ivar remedy: what to do about it.
    :ivar status: the HTTP status of its answer, 0 when there was none.
    :ivar said: the engine's own reason, empty when it gave none.
    """

    def __init__(self, problem: str, remedy: str, *, status: int = 0, said: str = "") -> None:
        super().__init__(problem, remedy)
        self.status = status
        self.said = said


class NotThere(EngineProblem):
    """Nothing serves there yet: no listener, or no such model. Before the first run that is the expected state."""


class Unreachable(EngineProblem):
    """No connection comes about."""


class NothingListens(NotThere, Unreachable):
    """The host refuses the connection."""


class Stalled(EngineProblem):
    """It was not done, or nothing came, for as long as was allowed."""
