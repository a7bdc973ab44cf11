# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway_check, which works on the controller alone, where the clients' keys are."""

from __future__ import annotations

import os
import time
from typing import Any, ClassVar, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.generation import Question
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.keys import FOLDER, known_keys, path_of
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable
from ansible_collections.gguf.fleet.plugins.module_utils._verify.entrance import (
    check_entrance,
    client_to_ask,
    ends_soon,
    report,
)
from ansible_collections.gguf.fleet.plugins.plugin_utils.on_controller import ControllerAction, beside_inventory

SPEC: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "address": {"type": "str", "default": ""},
    "models": {"type": "list", "elements": "str", "required": True},
    "clients": {"type": "list", "elements": "dict", "required": True, "no_log": True},
    "keys_dir": {"type": "str", "default": ""},
    "ca_file": {"type": "str", "default": ""},
    "trust": {"type": "str", "default": ""},
    "certificate_only": {"type": "bool", "default": False},
    "question": {"type": "str", "default": "Say hello in one short sentence."},
    "max_tokens": {"type": "int", "default": 64, "no_log": False},
    "timeout_seconds": {"type": "float", "default": 3600.0},
}


def days_left(endpoint: Endpoint) -> Optional[int]:
    """Of the certificate that is shown there. Raises EngineProblem."""
    ends = endpoint.certificate_ends()
    return None if ends is None else int((ends - time.time()) // 86400)


def certificate(given: dict[str, Any]) -> dict[str, Any]:
    """A gateway that cannot be asked is a line of the report, too."""
    url, trusted = given["url"], given["ca_file"] or None
    if trusted and not os.path.exists(trusted):
        line = f"{url}: there is no {trusted}, which its certificate would be compared with. Run site.yml."
        return {"changed": False, "verified": False, "models": [], "report": [printable(line)]}
    try:
        address = given["address"] or None
        endpoint = Endpoint(url, silence_seconds=10, ca_file=trusted, trust=given["trust"], address=address)
        days = days_left(endpoint)
        lines = ends_soon(url, days)
    except EngineProblem as problem:
        days, lines = None, [printable(f"WARNING: {problem.problem} {problem.remedy}".strip())]
    return {"changed": False, "verified": False, "models": [], "certificate_days_left": days, "report": lines}


class ActionModule(ControllerAction):
    SPEC = SPEC
    REMEDY = "Make the directory readable for this user, or name another one in gateway_keys_dir."
    ON_FAILURE: ClassVar[dict[str, Any]] = {"verified": False}

    def act(self, given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        if given["certificate_only"]:
            return certificate(given)
        folder = self.place = os.path.abspath(given["keys_dir"] or beside_inventory(FOLDER, variables))
        client = client_to_ask(given["clients"], known_keys(given["clients"], folder), given["models"])
        if client is None:
            why = "the key of no client is known here" if given["models"] else "no host serves a model"
            return {"changed": False, "verified": False, "models": [], "report": [f"{given['url']}  not asked: {why}"]}
        stranger, with_key = (
            Endpoint(
                given["url"],
                silence_seconds=given["timeout_seconds"],
                api_key=key,
                ca_file=given["ca_file"] or None,
                trust=given["trust"],
                address=given["address"] or None,
            )
            for key in (None, client.key)
        )
        path = path_of(folder, client.name)
        key_file = path if os.path.exists(path) else ""
        question = Question(given["question"], given["max_tokens"])
        found = check_entrance(stranger, with_key, client, question, given["timeout_seconds"])
        days = days_left(stranger)
        return {
            "changed": False,
            "verified": True,
            "models": found,
            "certificate_days_left": days,
            "report": report(given["url"], client.name, key_file, found, days),
        }
