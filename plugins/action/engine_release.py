# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""engine_release, which brings archives of the controller along for the time of its run."""

from __future__ import annotations

from typing import Any, Optional

from ansible.plugins.action import ActionBase

from ansible_collections.gguf.fleet.plugins.module_utils._build.problem import BuildProblem
from ansible_collections.gguf.fleet.plugins.module_utils._build.source import sha256_of
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.plugin_utils.brought import bring, take_away


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        brought = arguments.pop("brought", None)
        if not brought or not brought.get("files") or self._task.check_mode:
            result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
            return result
        try:
            sources = {file["dest"]: file["src"] for file in brought["files"]}
            arguments["archives"] = [_known(archive, sources) for archive in arguments.get("archives") or []]
        except Problem as error:
            return {**result, "failed": True, **failure(error)}
        try:
            failed = bring(self, brought["folder"], brought["files"], task_vars)
            result.update(failed or self._execute_module(module_args=arguments, task_vars=task_vars))
        finally:
            take_away(self, brought["folder"], task_vars)
        return result


def _known(archive: dict[str, Any], sources: dict[str, str]) -> dict[str, Any]:
    """The archive with its own checksum, of one that was built in this run. Raises BuildProblem."""
    path = sources.get(archive.get("src") or "")
    if path is None or archive.get("sha256"):
        return archive
    try:
        return {**archive, "sha256": sha256_of(path)}
    except FileNotFoundError:
        raise BuildProblem(
            "the build for this kind of hosts is not there: the host that builds it has failed, or is not in this run.",
            "See what that host says, and run again. Nothing was changed.",
        ) from None
