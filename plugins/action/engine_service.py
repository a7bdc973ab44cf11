# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""engine_service, which takes the controller's copy of supervisor along for a host that has another one or none."""

from __future__ import annotations

from typing import Any, Optional

from ansible.plugins.action import ActionBase

from ansible_collections.gguf.fleet.plugins.module_utils._service import supervisor_copy


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = True
    _supports_diff = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        copy = self._copy(arguments)
        if copy:
            arguments["supervisor"] = {
                "version": supervisor_copy.version(copy),
                "digest": supervisor_copy.digest(copy),
                # Nobody is here to be asked for it when the module runs in the background.
                "archive": supervisor_copy.pack(copy) if self._task.async_val else None,
            }
        told = self._run(arguments, task_vars)
        if told.get("supervisor_wanted"):
            arguments["supervisor"]["archive"] = supervisor_copy.pack(copy)
            told = self._run(arguments, task_vars)
        result.update(told)
        return result

    def _run(self, arguments: dict[str, Any], task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        told: dict[str, Any] = self._execute_module(
            module_args=arguments, task_vars=task_vars, wrap_async=bool(self._task.async_val)
        )
        return told

    def _copy(self, arguments: dict[str, Any]) -> supervisor_copy.Files:
        """The controller's own, where a service is going to run by it."""
        started = arguments.get("state", "started") == "started" and arguments.get("manager") != "systemd"
        folder = supervisor_copy.of_python() if started else ""
        files = supervisor_copy.read(folder) if folder else {}
        return files if supervisor_copy.is_usable(files) else {}
