# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._transfer import progress
from ansible_collections.gguf.fleet.plugins.plugin_utils.background import BackgroundAction, LinePacer, Watched


def test_lines_come_after_some_time_or_some_progress_and_at_a_new_phase() -> None:
    pacer = LinePacer(60.0, 10.0)
    shown = [
        (second, phase)
        for second, percent, phase in [
            (0, 0, "headers"),
            (2, 1, "download"),
            (10, 5, "download"),
            (20, 12, "download"),
            (79, 13, "download"),
            (80, 13, "download"),
            (81, 14, "verify"),
        ]
        if pacer.is_due(progress.Status(phase, percent, 100), float(second))
    ]
    assert shown == [(0, "headers"), (2, "download"), (20, "download"), (80, "download"), (81, "verify")]


def test_the_lines_of_a_verification_come_by_what_is_verified() -> None:
    pacer = LinePacer(60.0, 10.0)
    shown = [
        done
        for done in range(0, 100, 4)
        if pacer.is_due(progress.Status("verify", 100, 100, bytes_verified=done, bytes_to_verify=100), done / 10)
    ]
    assert shown == [0, 12, 24, 36, 48, 60, 72, 84, 96]


class Look(BackgroundAction):
    """A module that tells, when it is asked to look, whether there is anything to do."""

    LOOKS_FIRST = True

    def __init__(self, told: dict[str, Any], check: bool = False) -> None:
        self._told, self.asked = told, list[Any]()
        self._task: Any = SimpleNamespace(args={"dest": "/x"}, async_val=0, check_mode=check, no_log=False)
        self._connection: Any = SimpleNamespace(has_native_async=False, _shell=SimpleNamespace(tmpdir=None))
        self._templar: Any = SimpleNamespace(template=lambda value: value)

    def _watched(self) -> list[Watched]:
        return [Watched("/x", "/x.json")]

    def _remove_tmp_path(self, *_arguments: Any, **_options: Any) -> None:
        return None

    def _execute_module(self, module_args: Any = None, **_options: Any) -> dict[str, Any]:
        self.asked.append(bool(module_args and module_args.get("look")))
        return dict(self._told)

    def _run_watched(self, *_arguments: Any) -> dict[str, Any]:
        self.asked.append("in the background")
        return {"changed": True}


@pytest.mark.parametrize(
    ("told", "check", "asked", "result"),
    [
        ({"changed": False, "downloads": [1]}, False, [True], {"changed": False, "downloads": [1]}),
        ({"failed": True, "msg": "no"}, False, [True], {"failed": True, "msg": "no"}),
        ({"changed": False, "incomplete": True}, False, [True, "in the background"], {"changed": True}),
        ({"changed": True}, True, [False], {"changed": True}),
    ],
)
def test_nothing_runs_in_the_background_where_all_is_there(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], check: bool, asked: list[Any], result: dict[str, Any]
) -> None:
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    action = Look(told, check)
    assert action.run() == result
    assert action.asked == asked
