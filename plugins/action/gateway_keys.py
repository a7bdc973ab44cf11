# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway_keys, which works on the controller alone: no module is started for it, here or on a host."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._gateway.keys import FOLDER, keys_of
from ansible_collections.gguf.fleet.plugins.plugin_utils.on_controller import ControllerAction, beside_inventory

SPEC: dict[str, Any] = {
    "clients": {"type": "list", "elements": "dict", "required": True, "no_log": True},
    "directory": {"type": "str", "default": ""},
}


class ActionModule(ControllerAction):
    _supports_diff = True
    SPEC = SPEC
    REMEDY = "Make the directory writable for this user, or name another one in gateway_keys_dir."

    def act(self, given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        self.place = os.path.abspath(given["directory"] or beside_inventory(FOLDER, variables))
        keys = keys_of(given["clients"], self.place, make=not self._task.check_mode)
        made = list(keys.made)
        return {
            "changed": bool(made),
            "digests": dict(keys.digests),
            "files": dict(keys.files),
            "made": made,
            "diff": {"prepared": "".join(f"make a key in {path}\n" for path in made)},
        }
