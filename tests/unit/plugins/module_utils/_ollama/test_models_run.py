# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All models of a host in one run, where a server cannot unload what one of them was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import model_run as run
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.models_run import run_all
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import StaysInMemory

URL = "http://127.0.0.1:11434"


def test_a_server_that_cannot_unload_is_named_where_the_caller_restarts_it_and_nothing_is_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def present(request: run.Request, _ledger: Ledger) -> run.Result:
        if request.name == "other":
            return run.Result(model="other")
        problem = StaysInMemory("r1 is still in memory.", "Restart it.")
        problem.server = URL
        raise problem

    def pruned(*_arguments: Any) -> run.Result:
        raise AssertionError("what is not as asked for yet may need what would go")

    monkeypatch.setattr(run, "present", present)
    monkeypatch.setattr(run, "pruned", pruned)
    others = run.Request(URL, str(tmp_path), check=False, restarts=True)
    models = [replace(others, name=name, file="/srv/x.gguf") for name in ("r1", "other")]
    ledger = Ledger(str(tmp_path / "ledger.json"))
    told = run_all("pruned", models, others, ledger)
    assert ([one.restart for one in told.results], told.problems) == ([URL, ""], [])
    told = run_all("pruned", [replace(one, restarts=False) for one in models], others, ledger)
    assert [str(problem) for problem in told.problems] == ["r1 is still in memory. Restart it."]
