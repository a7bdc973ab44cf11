# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""engine_resolve, which works on the controller alone: no module is started for it, here or on the host."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._files import moved
from ansible_collections.gguf.fleet.plugins.module_utils._install import resolve
from ansible_collections.gguf.fleet.plugins.plugin_utils.on_controller import ControllerAction, given_path

SPEC: dict[str, Any] = {
    "engine": {"type": "str", "required": True, "choices": ["ollama", "llama_cpp"]},
    "version": {"type": "str", "required": True},
    "host": {"type": "dict", "required": True},
    "source_url": {"type": "str", "required": True},
    "addons": {"type": "list", "elements": "str", "default": []},
    "assets": {"type": "list", "elements": "str", "default": []},
    "uses": {"type": "list", "elements": "str", "choices": ["models", "rpc"], "default": []},
    "archive": {"type": "str", "default": ""},
    "host_archive": {"type": "str", "default": ""},
    "archive_sha256": {"type": "str", "default": ""},
    "checksums": {"type": "dict", "default": {}},
    "pins": {"type": "str", "default": ""},
    "trust_mirror_checksums": {"type": "bool", "default": False},
    "allow_unverified": {"type": "bool", "default": False},
    "cache": {"type": "str", "default": ""},
}


class ActionModule(ControllerAction):
    _supports_diff = True
    SPEC = SPEC
    REMEDY = "Check the path and the disk, and that the user who runs Ansible may write there."

    def act(self, given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        self.place = given["cache"]
        wanted = self._wanted(given, variables)
        renamed = moved.move(wanted.pins) if wanted.pins and not self._task.check_mode else ""
        planned = resolve.plan(wanted, resolve.host_of(given["host"]))
        if not self._task.check_mode:
            planned = resolve.apply(planned, wanted.pins)
        return {
            "changed": bool(planned.actions or renamed),
            "actions": [*([renamed] if renamed else []), *planned.actions],
            "archives": [dict(archive) for archive in planned.archives],
            "files": [{"src": file.src, "dest": file.dest} for file in planned.files],
            "folder": resolve.HOST_FOLDER,
            "diff": {
                "before_header": wanted.pins,
                "after_header": wanted.pins,
                "before": planned.before,
                "after": planned.after,
            },
        }

    def _wanted(self, given: dict[str, Any], variables: dict[str, Any]) -> resolve.Wanted:
        return resolve.Wanted(
            engine=given["engine"],
            version=given["version"],
            source_url=given["source_url"],
            addons=tuple(given["addons"]),
            assets=tuple(given["assets"]),
            uses=tuple(given["uses"]),
            archive=given_path(given["archive"], variables) if given["archive"] else "",
            host_archive=given["host_archive"],
            sha256=given["archive_sha256"].lower(),
            checksums={name: str(digest).lower() for name, digest in given["checksums"].items()},
            pins=given["pins"],
            trust_mirror=given["trust_mirror_checksums"],
            allow_unverified=given["allow_unverified"],
            cache=os.path.expanduser(given["cache"]) or resolve.default_cache(os.environ),
        )
