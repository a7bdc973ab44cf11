# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters around gguf_plan; each is documented in its own file beside this one."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.known import candidates, known_facts, requests
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan_lines import report_lines
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.rehearsal import rehearsal_lines
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.trial import trial_lines
from ansible_collections.gguf.fleet.plugins.module_utils._problem import failure


def plan_facts(model: Any, catalog: Any, locks: Any) -> dict[str, Any]:
    try:
        return known_facts(model, catalog, locks)
    except GpuError as error:
        raise AnsibleFilterError(failure(error)["msg"]) from error


def plan_candidates(hosts: Any, catalog: Any, locks: Any) -> dict[str, list[dict[str, Any]]]:
    try:
        return candidates([model for host in hosts for model in host["models"]], catalog, locks)
    except GpuError as error:
        raise AnsibleFilterError(failure(error)["msg"]) from error


def plan_requests(models: Any, catalog: Any, locks: Any) -> list[dict[str, Any]]:
    return requests(models, catalog, locks)


def plan_report(results: Any) -> list[str]:
    return report_lines(results)


def min_gpus_report(hosts: Any) -> list[str]:
    return trial_lines(hosts)


def rehearsal_report(hosts: Any) -> list[str]:
    return rehearsal_lines(hosts)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "min_gpus_report": min_gpus_report,
            "plan_candidates": plan_candidates,
            "plan_facts": plan_facts,
            "plan_report": plan_report,
            "plan_requests": plan_requests,
            "rehearsal_report": rehearsal_report,
        }
