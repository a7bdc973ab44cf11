# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What is said of a model that an engine does not have."""

from __future__ import annotations

from typing import Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import NotThere

_MAX_LISTED = 20
_MAX_NAME_CHARACTERS = 200


def no_such_model(url: str, model: str, there: Sequence[str]) -> NotThere:
    """The problem, with the names of the models that are there."""
    more = f" and {len(there) - _MAX_LISTED} more" if len(there) > _MAX_LISTED else ""
    listed = ", ".join(name[:_MAX_NAME_CHARACTERS] for name in there[:_MAX_LISTED]) + more if there else "none at all"
    return NotThere(f"{url}: there is no model {model}; there are: {listed}.", "Run the models role for this host.")
