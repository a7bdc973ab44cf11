# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""models_choose, which works on the controller: gguf_resolve reads the headers, the rest is computed here."""

from __future__ import annotations

import os
from typing import Any, Mapping, Optional

from ansible.plugins.action import ActionBase

from ansible_collections.gguf.fleet.plugins.module_utils._fleet import choice
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.sources import resolve_entry, token_of
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import Fleet
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.plugin_utils.fleet import describe

SPEC: dict[str, Any] = {
    "lock_file": {"type": "path", "required": True},
    "update": {"type": "bool", "default": False},
    "tokens": {"type": "dict", "default": {}, "no_log": True},
    "ca_file": {"type": "path"},
}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, given = self.validate_argument_spec(SPEC)
        variables = task_vars or {}
        try:
            fleet = describe(variables["hostvars"])
            pinned = choice.chosen_before(fleet.as_dict())
            wanted = choice.to_choose(fleet, variables["ansible_play_hosts"], given["update"])
            if not wanted:
                return {**result, "changed": False, "quants": pinned, "said": []}
            self._refuse_unasked(fleet, wanted, given["lock_file"])
            answer = self._resolve(wanted, given, variables)
            if answer.get("failed"):
                return {**result, **answer}
            chosen = choice.choices(fleet, wanted, self._facts(wanted, answer))
        except Problem as error:
            return {**result, "failed": True, **failure(error)}
        where = f"{os.path.basename(given['lock_file'])} pins it; models_lock_update chooses again."
        return {
            **result,
            "changed": False,
            "quants": {**pinned, **{one.lock_name: one.quant for one in chosen}},
            "said": [f"{one.sentence(pinned.get(one.lock_name))} {where}" for one in chosen],
        }

    @staticmethod
    def _refuse_unasked(fleet: Fleet, wanted: list[dict[str, Any]], lock_file: str) -> None:
        unasked = choice.unasked_hosts(fleet, wanted)
        if unasked:
            raise choice.ChoiceProblem(
                f"{', '.join(unasked)} may serve a model whose quant is chosen now, and was never asked for its GPUs.",
                "Run once for all of them (without --limit, and with all of them reachable); what is chosen is written "
                f"to {lock_file} and holds from then on.",
            )

    def _resolve(
        self, wanted: list[dict[str, Any]], given: Mapping[str, Any], variables: dict[str, Any]
    ) -> dict[str, Any]:
        """The headers of all candidates, of those that their hubs have."""
        entries = [
            resolve_entry(str(number), one["source"], token_of(one["source"]["hub"], given["tokens"]))
            for number, one in enumerate(wanted)
        ]
        options = {"sources": [{**entry, "optional": True} for entry in entries], "ca_file": given["ca_file"]}
        answer: dict[str, Any] = self._execute_module("gguf.fleet.gguf_resolve", options, task_vars=variables)
        return answer

    @staticmethod
    def _facts(wanted: list[dict[str, Any]], answer: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
        facts = {
            (one["lock_name"], one["quant"]): answer["locks"][str(number)]["gguf"]
            for number, one in enumerate(wanted)
            if str(number) in answer["locks"]
        }
        for lock_name in dict.fromkeys(one["lock_name"] for one in wanted):
            if any(lock_name == found for found, _quant in facts):
                continue
            mine = [str(number) for number, one in enumerate(wanted) if one["lock_name"] == lock_name]
            told = [answer["problems"][number] for number in mine]
            problems = dict.fromkeys(one["problem"] for one in told)
            raise choice.ChoiceProblem(" ".join(problems), told[0]["remedy"])
        return facts
