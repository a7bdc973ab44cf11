# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem


class BuildProblem(Problem):
    """llama.cpp cannot be built: what is wrong, and what to do about it."""
