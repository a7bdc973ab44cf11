# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""engine_source, which works on the controller alone: no module is started for it, here or on the host."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._build import source
from ansible_collections.gguf.fleet.plugins.module_utils._install import resolve
from ansible_collections.gguf.fleet.plugins.plugin_utils.on_controller import ControllerAction, given_path

SPEC: dict[str, Any] = {
    "version": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "registered": {"type": "str", "required": True},
    "url": {"type": "str", "default": ""},
    "archive": {"type": "str", "default": ""},
    "sha256": {"type": "str", "default": ""},
    "number": {"type": "int", "default": 0},
    "targets": {"type": "list", "elements": "str", "required": True},
    "options": {"type": "dict", "default": {}},
    "native": {"type": "bool", "default": True},
    "pins": {"type": "str", "required": True},
    "cache": {"type": "str", "default": ""},
}


class ActionModule(ControllerAction):
    _supports_diff = True
    SPEC = SPEC
    REMEDY = "Check the path and the disk, and that the user who runs Ansible may write there."

    def act(self, given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        self.place = given["cache"]
        name = str(variables.get("inventory_hostname"))
        wanted = _wanted(given, variables)
        planned = source.plan(wanted, name, _told(given["registered"], name, variables))
        build: dict[str, Any] = {}
        path = "" if self._task.check_mode else source.apply(wanted, planned, name)
        if planned.builder == name:
            build = source.request(planned, path, source.sha256_of(path) if path else "")
        return {
            "changed": bool(planned.pin),
            "actions": source.actions(wanted, planned, name),
            "archives": [planned.archive],
            "files": planned.files,
            "folder": resolve.HOST_FOLDER,
            "build": build,
            "builder": planned.builder,
            "kind": str(planned.kind),
            "diff": {
                "before_header": wanted.pins,
                "after_header": wanted.pins,
                "before": planned.before,
                "after": planned.after,
            },
        }


def _wanted(given: dict[str, Any], variables: dict[str, Any]) -> source.Wanted:
    archive = given["archive"]
    if archive and "://" not in archive:
        archive = given_path(archive, variables)
    cache = os.path.expanduser(given["cache"]) or os.path.dirname(resolve.default_cache(os.environ))
    return source.Wanted(
        version=given["version"],
        name=given["name"],
        url=given["url"],
        pins=given["pins"],
        cache=cache,
        archive=archive,
        sha256=given["sha256"].lower(),
        number=given["number"],
        targets=tuple(given["targets"]),
        options=given["options"],
        native=given["native"],
    )


def _told(registered: str, name: str, variables: dict[str, Any]) -> dict[str, Any]:
    """What engine_info told of the hosts that take part, in their order."""
    hosts = variables.get("ansible_play_batch") or variables.get("ansible_play_hosts") or [name]
    told = {host: variables["hostvars"][host].get(registered) for host in hosts if host in variables["hostvars"]}
    own = variables["hostvars"][name][registered]
    return {**{host: facts for host, facts in told.items() if facts and facts.get("build")}, name: own}
