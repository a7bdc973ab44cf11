# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role models; each is documented in its own file beside this one."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.choice import (
    candidates_of,
    chosen_before,
    hosts_serving,
    sources_of,
    to_choose,
)
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.files import destination
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.judging import plans_judged, plans_to_judge
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.servers import llama_cpp_servers
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import Fleet
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.plugin_utils.fleet import describe


def models_sources(hostvars: Any, hosts: Any, choices: Any) -> list[dict[str, Any]]:
    return sources_of(_described(hostvars), hosts, choices)


def models_candidates(hostvars: Any, hosts: Any, update: bool = False) -> list[dict[str, Any]]:
    return to_choose(_described(hostvars), hosts, update)


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
            "models_candidates": models_candidates,
            "models_judged": plans_judged,
            "models_llama_cpp_servers": llama_cpp_servers,
            "models_pinned": chosen_before,
            "models_resolved": candidates_of,
            "models_serving": hosts_serving,
            "models_sources": models_sources,
            "models_to_judge": plans_to_judge,
        }
