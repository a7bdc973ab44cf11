# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions that work on the controller alone have in common: options, files beside the inventory, failures."""

from __future__ import annotations

import os
from typing import Any, ClassVar, Optional

from ansible.plugins.action import ActionBase

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem


class ControllerAction(ActionBase):
    """An action without a module on a host.

    SPEC: its options, as of a module. REMEDY: what to do about a file of the controller that cannot be used.
    ON_FAILURE: what a failed result has beside the problem. place: the path that is told for an error that names none.
    """

    _supports_check_mode = True
    _requires_connection = False

    SPEC: ClassVar[dict[str, Any]] = {}
    REMEDY = ""
    ON_FAILURE: ClassVar[dict[str, Any]] = {}
    place = ""

    def act(self, given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        """The result for these options and variables of the task. May raise a Problem or an OSError."""
        raise NotImplementedError

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, given = self.validate_argument_spec(self.SPEC)
        try:
            return {**result, **self.act(given, task_vars or {})}
        except Problem as error:
            problem = error
        except OSError as error:
            problem = file_problem(error, self.place, self.REMEDY)
        return {**result, "failed": True, **self.ON_FAILURE, **failure(problem)}


def beside_inventory(name: str, variables: dict[str, Any]) -> str:
    """The path of a file or folder of ours beside the inventory."""
    return os.path.join(str(variables.get("inventory_dir") or "."), name)


def given_path(path: str, variables: dict[str, Any]) -> str:
    """A path that a user gave: relative to the inventory, or to the playbook where the inventory is no file."""
    base = str(variables.get("inventory_dir") or variables.get("playbook_dir") or ".")
    return os.path.join(base, os.path.expanduser(path))
