# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The settings of a host's Ollama server: the variables of the role, what an adopted installation had, what wins."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.variables import Variables


def ollama_settings(variables: Variables, adopted: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
    """The environment of the server, unchecked.

    Later ones win: the role's defaults, what an adopted installation sets, the role's variables where the inventory
    sets them, and `ollama_environment`.

    Args:
        variables: of the host.
        adopted: `adopted` of engine_info, where the host has an installation that the role took over.
    """
    settings: Dict[str, Any] = {
        "OLLAMA_HOST": variables["ollama_host"],
        "OLLAMA_MODELS": variables["ollama_models_dir"],
    }
    if adopted:
        settings.update(adopted.get("environment") or {})
        settings["OLLAMA_MODELS"] = adopted["models_dir"]
    for name, variable in (("OLLAMA_HOST", "ollama_host"), ("OLLAMA_MODELS", "ollama_models_dir")):
        if variables.is_set(variable):
            settings[name] = variables[variable]
    for name, variable in (("OLLAMA_ORIGINS", "ollama_origins"), ("CUDA_VISIBLE_DEVICES", "ollama_gpus")):
        if variables[variable]:
            settings[name] = ",".join(map(str, variables[variable]))
    if str(variables["ollama_keep_alive"]):
        settings["OLLAMA_KEEP_ALIVE"] = variables["ollama_keep_alive"]
    if int(variables["ollama_context_length"]):
        settings["OLLAMA_CONTEXT_LENGTH"] = variables["ollama_context_length"]
    settings.update(variables["ollama_environment"])
    return settings
