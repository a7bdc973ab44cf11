# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway_check, which works on the controller alone, where the clients' keys are."""

from __future__ import annotations

import os
import time
from typing import Any, Optional

from ansible.plugins.action import ActionBase

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.generation import Question
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.keys import FOLDER, known_keys, path_of
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem
from ansible_collections.gguf.fleet.plugins.module_utils._verify.entrance import check_entrance, client_to_ask, report

SPEC: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "address": {"type": "str", "default": ""},
    "models": {"type": "list", "elements": "str", "required": True},
    "clients": {"type": "list", "elements": "dict", "required": True, "no_log": True},
    "keys_dir": {"type": "str", "default": ""},
    "ca_file": {"type": "str", "default": ""},
    "question": {"type": "str", "default": "Say hello in one short sentence."},
    "max_tokens": {"type": "int", "default": 64, "no_log": False},
    "timeout_seconds": {"type": "float", "default": 3600.0},
}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, given = self.validate_argument_spec(SPEC)
        beside = os.path.join(str((task_vars or {}).get("inventory_dir") or "."), FOLDER)
        folder = os.path.abspath(given["keys_dir"] or beside)
        try:
            return {**result, "changed": False, **self._ask(given, folder)}
        except Problem as error:
            return {**result, "failed": True, "verified": False, **failure(error)}
        except OSError as error:
            remedy = "Make the directory readable for this user, or name another one in gateway_keys_dir."
            return {**result, "failed": True, "verified": False, **failure(file_problem(error, folder, remedy))}

    def _ask(self, given: dict[str, Any], folder: str) -> dict[str, Any]:
        client = client_to_ask(given["clients"], known_keys(given["clients"], folder), given["models"])
        if client is None:
            why = "the key of no client is known here" if given["models"] else "no host serves a model"
            return {"verified": False, "models": [], "report": [f"{given['url']}  not asked: {why}"]}
        stranger, with_key = (
            Endpoint(
                given["url"],
                silence_seconds=given["timeout_seconds"],
                api_key=key,
                ca_file=given["ca_file"] or None,
                address=given["address"] or None,
            )
            for key in (None, client.key)
        )
        path = path_of(folder, client.name)
        key_file = path if os.path.exists(path) else ""
        question = Question(given["question"], given["max_tokens"])
        found = check_entrance(stranger, with_key, client, question, given["timeout_seconds"])
        ends = stranger.certificate_ends()
        days = None if ends is None else int((ends - time.time()) // 86400)
        return {
            "verified": True,
            "models": found,
            "certificate_days_left": days,
            "report": report(given["url"], client.name, key_file, found, days),
        }
