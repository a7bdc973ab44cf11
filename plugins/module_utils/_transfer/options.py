# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The option C(downloads) of all modules that take files of locks."""

from __future__ import annotations

from typing import Any, Dict


def downloads(*, named: bool = False) -> Dict[str, Any]:
    """Its argument spec. named: whether each has to have a name."""
    return {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", **({"required": True} if named else {})},
            "lock": {"type": "dict", "required": True},
            "dest": {"type": "path", "required": True},
            "layout": {"type": "str", "choices": ["merged", "shards"], "default": "merged"},
            "token": {"type": "str", "no_log": True},
            "controller": {"type": "str"},
        },
    }
