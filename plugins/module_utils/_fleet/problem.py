# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem


class DeclarationProblem(Problem, ValueError):
    """A declaration that cannot be served as written.

    :ivar problem: what is wrong and in which entry.
    :ivar remedy: what to write instead.
    """
