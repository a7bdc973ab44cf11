# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of what a run ends with; each is documented in its own file beside this one."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.gguf.fleet.plugins.module_utils._report import end_of_run, entrance, status, versions


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "entrance_report": entrance.table,
            "fleet_status": status.status,
            "run_report": end_of_run.table,
            "status_questions": status.questions,
            "status_report": status.lines,
            "version_report": versions.table,
        }
