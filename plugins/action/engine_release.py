# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""engine_release, which brings archives of the controller along for the time of its run."""

from __future__ import annotations

from typing import Any, Optional

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        brought = arguments.pop("brought", None)
        if not brought or not brought["files"] or self._task.check_mode:
            result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
            return result
        try:
            failed = self._bring(brought, task_vars)
            result.update(failed or self._execute_module(module_args=arguments, task_vars=task_vars))
        finally:
            gone = {"path": brought["folder"], "state": "absent"}
            self._execute_module("ansible.legacy.file", module_args=gone, task_vars=task_vars)
        return result

    def _bring(self, brought: Any, task_vars: Optional[dict[str, Any]]) -> Optional[dict[str, Any]]:
        """The result of what failed, if anything did."""
        root_only = {"path": brought["folder"], "state": "directory", "owner": "root", "group": "root", "mode": "0700"}
        made = self._execute_module("ansible.legacy.file", module_args=root_only, task_vars=task_vars)
        if made.get("failed"):
            return made
        for file in brought["files"]:
            task = self._task.copy()
            task.args = {"src": file["src"], "dest": file["dest"], "mode": "0600"}
            copy = self._shared_loader_obj.action_loader.get(
                "ansible.legacy.copy",
                task=task,
                connection=self._connection,
                play_context=self._play_context,
                loader=self._loader,
                templar=self._templar,
                shared_loader_obj=self._shared_loader_obj,
            )
            copied: dict[str, Any] = copy.run(task_vars=task_vars)
            if copied.get("failed"):
                return copied
        return None
