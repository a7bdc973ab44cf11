# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What an endpoint can fail at."""

from __future__ import annotations

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem


class EndpointProblem(Problem):
    """An endpoint that does not serve as it should.

    :ivar problem: what is wrong, and where.
    :ivar remedy: what to do about it.
    """


class NotThere(EndpointProblem):
    """Nothing serves there yet: no listener, or no such model. Before the first run that is the expected state."""
