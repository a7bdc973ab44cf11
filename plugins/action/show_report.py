# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""show_report, which works on the controller alone: no module is started for it, here or on a host."""

from __future__ import annotations

from typing import Any, Optional

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines, printable
from ansible_collections.gguf.fleet.plugins.plugin_utils.preload import preload

# Ansible reads an action in the process that starts the workers; every play that describes the fleet begins with this.
preload()

display = Display()

SPEC: dict[str, Any] = {"lines": {"type": "raw", "required": True}, "refuse": {"type": "str", "default": ""}}
_LINE_AT_MOST_CHARACTERS = 20_000


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, given = self.validate_argument_spec(SPEC)
        try:
            text = shown(given["lines"])
        except Problem as error:
            return {**result, "failed": True, **failure(error)}
        if text and not self._task.no_log:
            # One call, so that what other hosts print meanwhile does not come between.
            display.display(printable("\n" + text, limit=len(text) + 1, lines=True))
        if given["refuse"]:
            return {**result, "failed": True, "msg": given["refuse"]}
        return {**result, "changed": False}


def shown(report: Any) -> str:
    """The lines of a report, or its text, fit for a terminal. Raises a Problem when it is neither."""
    told = lines(report) if isinstance(report, str) else report
    if not isinstance(told, (list, tuple)):
        raise Problem("lines is neither a text nor a list.", "Give a list of lines or one text.")
    return "\n".join(printable(str(line), limit=_LINE_AT_MOST_CHARACTERS) for line in told)
