# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The options of the doc fragment `model_settings`: what a model adds to its weights, for all modules alike."""

from __future__ import annotations

from typing import Any, Dict

MODEL_SETTINGS: Dict[str, Dict[str, Any]] = {
    "template": {"type": "str"},
    "system": {"type": "str"},
    "parameters": {"type": "dict", "default": {}},
    "messages": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "role": {"type": "str", "required": True, "choices": ["system", "user", "assistant"]},
            "content": {"type": "str", "required": True},
        },
    },
    "license": {"type": "list", "elements": "str", "default": []},
}
