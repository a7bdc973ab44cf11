# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role models; each is documented in its own file beside this one."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.choice import lock_names_to_choose
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.files import (
    destination,
    downloads,
    files_in_use,
    ollama_models,
)
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.judging import placed, plans_judged, plans_to_judge
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.replicas import on_one_server
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.servers import llama_cpp_servers
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.sources import (
    entries_on_host,
    read_on_hosts,
    resolve_entries,
)
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import Fleet
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.plugin_utils.fleet import describe


def models_sources(hostvars: Any, hosts: Any, choices: Any, tokens: Any, seals: Any = None) -> list[dict[str, Any]]:
    read = read_on_hosts(hosts, hostvars)
    return resolve_entries(_described(hostvars), hosts, choices, tokens, seals, read=read)


def _described(hostvars: Any) -> Fleet:
    try:
        return describe(hostvars)
    except Problem as problem:
        raise AnsibleFilterError(failure(problem)["msg"]) from problem


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "model_destination": destination,
            "models_downloads": downloads,
            "models_files_in_use": files_in_use,
            "models_for_ollama": ollama_models,
            "models_judged": plans_judged,
            "models_llama_cpp_servers": llama_cpp_servers,
            "models_on_host": entries_on_host,
            "models_on_one_server": on_one_server,
            "models_placed": placed,
            "models_sources": models_sources,
            "models_to_choose": lock_names_to_choose,
            "models_to_judge": plans_to_judge,
        }
