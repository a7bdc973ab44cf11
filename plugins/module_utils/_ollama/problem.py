# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The errors of this package: what is wrong, and what to do about it."""

from __future__ import annotations

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem


class OllamaProblem(Problem, ValueError):
    """A problem with two sentences: `problem` (what, where) and `remedy` (what the operator does next)."""


class StaysInMemory(OllamaProblem):
    """A server keeps weights in memory that it was told to unload, so that only its restart removes them."""

    server = ""


class StoreProblem(OllamaProblem):
    """The store cannot be read or changed."""
