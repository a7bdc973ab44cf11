# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the playbooks that plan; each is documented in its own file beside this one."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.module_utils._fleet import questions, together
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.min_gpus_report import trial_lines
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan_lines import placement_lines, report_lines
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.rehearsal import rehearsal_lines
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure


def plan_questions(fleet: Any, hosts: Any, candidates: Any = None, only: Any = ()) -> list[dict[str, Any]]:
    try:
        return questions.plan_questions(fleet, hosts, candidates, only)
    except Problem as problem:
        raise AnsibleFilterError(failure(problem)["msg"]) from problem


def plan_together(results: Any, fleet: Any, hosts: Any, options: Any = None) -> list[dict[str, Any]]:
    try:
        return together.plans_together(results, fleet, hosts, options)
    except Problem as problem:
        raise AnsibleFilterError(failure(problem)["msg"]) from problem


def host_plan(host: Any, locks: Any, gpus: Any = None, ram_bytes: Any = None) -> dict[str, Any]:
    facts = {name: lock.get("gguf") for name, lock in locks.items()}
    try:
        return together.plan_together(host, facts, gpus, ram_bytes)
    except Problem as problem:
        raise AnsibleFilterError(failure(problem)["msg"]) from problem


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "host_plan": host_plan,
            "min_gpus_report": trial_lines,
            "placement_report": placement_lines,
            "plan_questions": plan_questions,
            "plan_report": report_lines,
            "plan_together": plan_together,
            "plan_requests": questions.preflight_models,
            "rehearsal_report": rehearsal_lines,
        }
