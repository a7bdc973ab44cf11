# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""engine_service, which takes the program along that runs services where there is no systemd."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from ansible.plugins.action import ActionBase

SUPERVISOR = Path(__file__).resolve().parents[2] / "roles/host/files/service"


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = True
    _supports_diff = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if arguments.get("manager") == "script" and arguments.get("state", "started") == "started":
            arguments["supervisor"] = SUPERVISOR.read_text(encoding="utf-8")
        result.update(
            self._execute_module(module_args=arguments, task_vars=task_vars, wrap_async=bool(self._task.async_val))
        )
        return result
