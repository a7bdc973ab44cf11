# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role models; each is documented in its own file beside this one."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.module_utils._models.declaration import DeclarationProblem, declare, sources
from ansible_collections.gguf.fleet.plugins.module_utils._models.files import destination
from ansible_collections.gguf.fleet.plugins.module_utils._models.servers import llama_cpp_servers


def models_declared(entries: Any, catalog: Any, engine: str = "ollama") -> List[Dict[str, Any]]:
    try:
        return declare(entries, catalog, engine=engine)
    except DeclarationProblem as problem:
        raise AnsibleFilterError(str(problem)) from problem


def models_sources(entries: Any, catalog: Any) -> List[Dict[str, Any]]:
    try:
        return sources(entries, catalog)
    except DeclarationProblem as problem:
        raise AnsibleFilterError(str(problem)) from problem


def model_destination(lock: Any, layout: str, models_dir: str) -> str:
    return destination(lock, layout, models_dir)


def models_llama_cpp_servers(declared: Any, downloads: Any, host: str, placement: Any) -> List[Dict[str, Any]]:
    return llama_cpp_servers(declared, downloads, host, placement)


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {
            "models_declared": models_declared,
            "models_sources": models_sources,
            "model_destination": model_destination,
            "models_llama_cpp_servers": models_llama_cpp_servers,
        }
