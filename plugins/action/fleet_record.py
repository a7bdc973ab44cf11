# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""fleet_record, which works on the controller alone: no module is started for it, here or on a host."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._fleet import record
from ansible_collections.gguf.fleet.plugins.plugin_utils.fleet import record_file
from ansible_collections.gguf.fleet.plugins.plugin_utils.on_controller import ControllerAction

SPEC: dict[str, Any] = {"state": {"type": "str", "default": "present", "choices": ["present", "absent"]}}


class ActionModule(ControllerAction):
    _supports_diff = True
    SPEC = SPEC
    REMEDY = "Make the directory writable for this user, or name another file in fleet_record_file."

    def act(self, given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        by_file: dict[str, list[str]] = {}
        for name in variables["ansible_play_hosts"]:
            by_file.setdefault(record_file(variables["hostvars"][name]), []).append(name)
        diffs = []
        for path, names in by_file.items():
            self.place = path
            before, after = self._write(path, names, variables["hostvars"], given["state"] == "absent")
            diffs.append({"before_header": path, "after_header": path, "before": before, "after": after})
        changed = any(diff["before"] != diff["after"] for diff in diffs)
        return {"changed": changed, "paths": list(by_file), "diff": diffs}

    def _write(self, path: str, names: list[str], hostvars: Any, forget: bool) -> tuple[str, str]:
        reports = {} if forget else {name: record.reported(hostvars[name]) for name in names}
        date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        forgotten = names if forget else []
        if forget and not os.path.exists(path):
            return "", ""
        if self._task.check_mode:
            before = record.load(path)
            return record.shown(before), record.shown(record.updated(before, reports, date, forgotten))
        with record.changing(path) as directory:
            before = record.load(path)
            after = record.updated(before, reports, date, forgotten)
            if after != before:
                record.save(directory, path, after)
        return record.shown(before), record.shown(after)
