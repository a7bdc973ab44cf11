# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""engine_resolve, which works on the controller alone: no module is started for it, here or on the host."""

from __future__ import annotations

import os
from typing import Any, Optional

from ansible.plugins.action import ActionBase

from ansible_collections.gguf.fleet.plugins.module_utils._files import moved
from ansible_collections.gguf.fleet.plugins.module_utils._install import resolve
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem

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


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, given = self.validate_argument_spec(SPEC)
        try:
            wanted = self._wanted(given, task_vars or {})
            renamed = moved.move(wanted.pins) if wanted.pins and not self._task.check_mode else ""
            planned = resolve.plan(wanted, resolve.host_of(given["host"]))
            if not self._task.check_mode:
                planned = resolve.apply(planned, wanted.pins)
        except Problem as error:
            return {**result, "failed": True, **failure(error)}
        except OSError as error:
            remedy = "Check the path and the disk, and that the user who runs Ansible may write there."
            return {**result, "failed": True, **failure(file_problem(error, str(given["cache"]), remedy))}
        return {
            **result,
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
        archive = os.path.expanduser(given["archive"])
        base = str(variables.get("inventory_dir") or variables.get("playbook_dir") or ".")
        return resolve.Wanted(
            engine=given["engine"],
            version=given["version"],
            source_url=given["source_url"],
            addons=tuple(given["addons"]),
            assets=tuple(given["assets"]),
            uses=tuple(given["uses"]),
            archive=os.path.join(base, archive) if archive else "",
            host_archive=given["host_archive"],
            sha256=given["archive_sha256"].lower(),
            checksums={name: str(digest).lower() for name, digest in given["checksums"].items()},
            pins=given["pins"],
            trust_mirror=given["trust_mirror_checksums"],
            allow_unverified=given["allow_unverified"],
            cache=os.path.expanduser(given["cache"]) or resolve.default_cache(os.environ),
        )
