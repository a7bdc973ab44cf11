# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway_keys, which works on the controller alone: no module is started for it, here or on a host."""

from __future__ import annotations

import os
from typing import Any, Optional

from ansible.plugins.action import ActionBase

from ansible_collections.gguf.fleet.plugins.module_utils._gateway.keys import FOLDER, keys_of
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem

SPEC: dict[str, Any] = {
    "clients": {"type": "list", "elements": "dict", "required": True, "no_log": True},
    "directory": {"type": "str", "default": ""},
}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, given = self.validate_argument_spec(SPEC)
        beside = os.path.join(str((task_vars or {}).get("inventory_dir") or "."), FOLDER)
        directory = os.path.abspath(given["directory"] or beside)
        try:
            keys = keys_of(given["clients"], directory, make=not self._task.check_mode)
        except Problem as error:
            return {**result, "failed": True, **failure(error)}
        except OSError as error:
            remedy = "Make the directory writable for this user, or name another one in gateway_keys_dir."
            return {**result, "failed": True, **failure(file_problem(error, directory, remedy))}
        made = list(keys.made)
        return {
            **result,
            "changed": bool(made),
            "digests": dict(keys.digests),
            "files": dict(keys.files),
            "made": made,
            "diff": {"prepared": "".join(f"make a key in {path}\n" for path in made)},
        }
