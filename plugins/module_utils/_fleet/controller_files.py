# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Sources whose files lie on the controller: their folders, whole."""

from __future__ import annotations

import os
from typing import Any, List, Mapping, Sequence


def with_whole_paths(entries: Sequence[Any], folder: str) -> List[Any]:
    """The entries of C(models_serve), with C(controller) of each source as a path from / on.

    :param folder: the inventory's, which relative paths begin at.
    """
    return [_whole(entry, folder) for entry in entries]


def _whole(entry: Any, folder: str) -> Any:
    source = entry.get("source") if isinstance(entry, Mapping) else None
    if not isinstance(source, Mapping) or not source.get("controller"):
        return entry
    given = os.path.expanduser(str(source["controller"]))
    path = os.path.normpath(os.path.join(os.path.abspath(folder), given))
    return {**entry, "source": {**source, "controller": path}}
