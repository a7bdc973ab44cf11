# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Model options: which there are, of what type, and what llama-server calls them."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

from .epochs import Epochs
from .gofmt import FOREVER, NANOSECONDS, parse_duration

_NUMBERS = [
    "num_ctx",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "num_thread",
    "num_keep",
    "seed",
    "num_predict",
    "top_k",
    "repeat_last_n",
    "draft_num_predict",
]
_FLOATS = ["top_p", "min_p", "typical_p", "temperature", "repeat_penalty", "presence_penalty", "frequency_penalty"]
_OLD_NUMBERS = ["mirostat"]
_OLD_FLOATS = ["mirostat_tau", "mirostat_eta"]
_OLD_BOOLS = ["low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock", "penalize_newline", "numa"]

_DEFAULTS = {
    "num_predict": -1, "temperature": 0.8, "top_k": 40, "top_p": 0.9, "typical_p": 1.0, "repeat_last_n": 64,
    "presence_penalty": 0.0, "frequency_penalty": 0.0, "seed": -1, "min_p": 0.0,
}  # fmt: skip
_NAMES = {"num_predict": "n_predict"}


class BadOption(Exception):
    """An option of the wrong type."""


def merged(rules: Epochs, layers: List[Optional[Dict[str, Any]]], log: Callable[[str, str], None]) -> Dict[str, Any]:
    """The options of model and request, later ones win; unknown names are only logged, wrong types are errors."""
    numbers, floats, bools = list(_NUMBERS), list(_FLOATS), ["use_mmap"]
    if not rules.rewrites_files:
        numbers, floats, bools = numbers + _OLD_NUMBERS, floats + _OLD_FLOATS, bools + _OLD_BOOLS
    result: Dict[str, Any] = {}
    for layer in layers:
        for key, value in (layer or {}).items():
            if value is None:
                continue
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if key in numbers:
                if not number:
                    raise BadOption('option "%s" must be of type integer' % key)
                result[key] = int(value)
            elif key in floats:
                if not number:
                    raise BadOption('option "%s" must be of type float32' % key)
                result[key] = float(value)
            elif key in bools:
                if not isinstance(value, bool):
                    raise BadOption('option "%s" must be of type boolean' % key)
                result[key] = value
            elif key == "stop":
                if not isinstance(value, list):
                    raise BadOption('option "stop" must be of type array')
                if not all(isinstance(item, str) for item in value):
                    raise BadOption('option "stop" must be of an array of strings')
                result[key] = value
            else:
                log("WARN", 'msg="invalid option provided" option=%s' % key)
    return result


def generation(rules: Epochs, options: Dict[str, Any], form: Any) -> Dict[str, Any]:
    """The fields of llama-server's /completion."""
    settings = {_NAMES.get(key, key): options.get(key, default) for key, default in _DEFAULTS.items()}
    settings["repeat_penalty"] = options.get("repeat_penalty", rules.repeat_penalty)
    settings["stop"] = options.get("stop", [])
    settings["n_keep"] = options.get("num_keep", 4)
    if isinstance(form, dict):
        settings["json_schema"] = form
    elif form == "json":
        settings["json_schema"] = {"type": "object"}
    return settings


def keep_alive(value: Any) -> Optional[int]:
    """The keep_alive of a request in nanoseconds: a number is seconds, a string a Go duration, negative is forever."""
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return FOREVER if value < 0 else int(value) * NANOSECONDS
    if isinstance(value, str):
        nanoseconds = parse_duration(value)
        return FOREVER if nanoseconds < 0 else nanoseconds
    raise ValueError("Unsupported type: '%s'" % type(value).__name__)
