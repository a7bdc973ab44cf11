# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a line of JSON to $BENCH_COUNTS for each module run, each task of the play, and each host of the recap.

A module run is counted where Ansible starts it: each item of a loop, and each module that an action runs. A task of the
play is written with the CPU seconds that were spent before it, workers and their programs included.
"""

from __future__ import annotations

import json
import os
import resource
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase

_run_module = ActionBase._execute_module


def _note(**what: Any) -> None:
    line = json.dumps(what) + "\n"
    file = os.open(os.environ["BENCH_COUNTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def _counted(self: ActionBase, module_name: Any = None, *others: Any, **options: Any) -> Any:
    delegated = bool(self._task.delegate_to) or self._connection.transport == "local"
    _note(
        kind="module",
        host=(options.get("task_vars") or {}).get("inventory_hostname", ""),
        module=module_name or self._task.action,
        where="controller" if delegated else "host",
    )
    return _run_module(self, module_name, *others, **options)


def _spent() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "counts"

    def __init__(self) -> None:
        super().__init__()
        # Before Ansible forks: its workers count, too.
        ActionBase._execute_module = _counted

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        del is_conditional
        _note(kind="header", name=task.get_name(), cpu_seconds=_spent())

    def v2_playbook_on_stats(self, stats: Any) -> None:
        _note(kind="end", cpu_seconds=_spent())
        for host in stats.processed:
            _note(kind="recap", host=host, **stats.summarize(host))
