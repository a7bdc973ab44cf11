# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What an engine's own settings say about memory: its parameters and its environment, read as a request for a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.engines import OLLAMA
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import PlanRequest
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError

_ON, _OFF = ("1", "t", "true", "on", "yes"), ("0", "f", "false", "off", "no")


def request_of(
    engine: str,
    engine_version: Optional[str],
    parameters: Mapping[str, Any],
    environment: Mapping[str, Any],
    options: Mapping[str, Any],
) -> PlanRequest:
    """C(options): fields of the request that somebody gave outright; they go over the settings, None is not given."""
    told = _ollama(parameters, environment) if engine == OLLAMA else _llama_cpp(parameters)
    given = {name: value for name, value in options.items() if value is not None}
    request = {**{name: value for name, value in told.items() if value is not None}, **given}
    request.setdefault("value_type", request.get("key_type", "f16"))
    return PlanRequest(engine=engine, engine_version=engine_version, **request)


def declared_slots(engine: str, parameters: Mapping[str, Any], environment: Mapping[str, Any]) -> Optional[int]:
    """How many requests at once an engine is told to answer; None where it chooses. Raises GpuError."""
    told = _ollama(parameters, environment) if engine == OLLAMA else _llama_cpp(parameters)
    found: Optional[int] = told["num_parallel"]
    return found


def _ollama(parameters: Mapping[str, Any], environment: Mapping[str, Any]) -> dict[str, Any]:
    def read(source: Mapping[str, Any], name: str, convert: Callable[[str, Any], Any]) -> Any:
        return convert(name, source[name]) if str(source.get(name) or "").strip() else None

    num_ctx = read(parameters, "num_ctx", _number)
    return {
        "num_ctx": num_ctx or read(environment, "OLLAMA_CONTEXT_LENGTH", _number) or None,
        "num_gpu": _layers("num_gpu", parameters.get("num_gpu")),
        "batch": read(parameters, "num_batch", _number),
        # Zero lets the server choose, which old ones take for four where that fits.
        "num_parallel": read(environment, "OLLAMA_NUM_PARALLEL", _number) or None,
        "key_type": read(environment, "OLLAMA_KV_CACHE_TYPE", _text),
        "flash_attention": read(environment, "OLLAMA_FLASH_ATTENTION", _switch),
    }


def _llama_cpp(parameters: Mapping[str, Any]) -> dict[str, Any]:
    words = {str(name).replace("_", "-"): value for name, value in parameters.items()}

    def read(name: str, convert: Callable[[str, Any], Any]) -> Any:
        return None if words.get(name) is None else convert(name, words[name])

    context, slots = read("ctx-size", _number), read("parallel", _number)
    slots = slots if slots and slots > 0 else None
    split = read("tensor-split", _numbers)
    return {
        # llama-server shares its context among the slots.
        "num_ctx": context // (slots or 1) if context else None,
        "num_parallel": slots,
        "num_gpu": _layers("n-gpu-layers", words.get("n-gpu-layers")),
        "host_experts": read("n-cpu-moe", _number),
        "batch": read("ubatch-size", _number),
        "split": split,
        "key_type": read("cache-type-k", _text),
        "value_type": read("cache-type-v", _text) or ("f16" if words.get("cache-type-k") else None),
        "flash_attention": read("flash-attn", _switch),
    }


def _number(name: str, value: Any) -> int:
    try:
        return int(str(value).strip())
    except ValueError:
        raise GpuError(f"{name} is {value!r}.", "Give a whole number.") from None


def _numbers(name: str, value: Any) -> tuple[int, ...]:
    parts = value if isinstance(value, (list, tuple)) else str(value).replace("/", ",").split(",")
    return tuple(_number(name, part) for part in parts)


def _layers(name: str, value: Any) -> Optional[int]:
    """A number of layers; None where the engine or the plan shall choose."""
    if value is None or str(value) in ("auto", ""):
        return None
    if str(value) == "all":
        return 1 << 20
    number = _number(name, value)
    return None if number < 0 else number


def _text(_name: str, value: Any) -> str:
    return str(value)


def _switch(_name: str, value: Any) -> Optional[bool]:
    """None for words such as auto."""
    word = str(value).strip().lower()
    return True if word in _ON else False if word in _OFF else None
