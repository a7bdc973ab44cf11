# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the controller that go to a host for the time of a run, into a directory that nobody but root may enter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ansible.plugins.action import ActionBase


def bring(
    action: ActionBase, folder: str, files: Sequence[Mapping[str, str]], task_vars: Optional[dict[str, Any]]
) -> Optional[dict[str, Any]]:
    """Copy them, `src` on the controller to `dest` below `folder`; the result of what failed, if anything did."""
    root_only = {"path": folder, "state": "directory", "owner": "root", "group": "root", "mode": "0700"}
    made: dict[str, Any] = action._execute_module("ansible.legacy.file", module_args=root_only, task_vars=task_vars)
    if made.get("failed"):
        return made
    for file in files:
        task = action._task.copy()
        task.args = {"src": file["src"], "dest": file["dest"], "mode": "0600"}
        copy = action._shared_loader_obj.action_loader.get(
            "ansible.legacy.copy",
            task=task,
            connection=action._connection,
            play_context=action._play_context,
            loader=action._loader,
            templar=action._templar,
            shared_loader_obj=action._shared_loader_obj,
        )
        copied: dict[str, Any] = copy.run(task_vars=task_vars)
        if copied.get("failed"):
            return copied
    return None


def take_away(action: ActionBase, folder: str, task_vars: Optional[dict[str, Any]]) -> None:
    """Remove the directory."""
    gone = {"path": folder, "state": "absent"}
    action._execute_module("ansible.legacy.file", module_args=gone, task_vars=task_vars)
