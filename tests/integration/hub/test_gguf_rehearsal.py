# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""gguf_rehearsal run for real: the headers come from a hub, by ranges."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Callable, Dict

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import read_header
from ansible_collections.gguf.fleet.tests.doubles.hub.server import HubDouble

Run = Callable[..., Dict[str, Any]]


@pytest.fixture(name="rehearse")
def a_rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    from ansible_collections.gguf.fleet.plugins.modules import gguf_rehearsal

    monkeypatch.setenv("GGUF_FLEET_LEDGER", str(tmp_path / "ledger.json"))

    def run(**options: Any) -> Dict[str, Any]:
        output = io.StringIO()
        arguments = {"dest": str(tmp_path / "rehearsal"), **options}
        with patch_module_args(arguments), redirect_stdout(output), pytest.raises(SystemExit):
            gguf_rehearsal.main()
        result: Dict[str, Any] = json.loads(output.getvalue())
        return {"failed": False, **result}

    return run


@pytest.fixture(name="lock")
def a_lock(hub: HubDouble, resolve: Run) -> Dict[str, Any]:
    lock: Dict[str, Any] = resolve(repo="lab/Tiny-GGUF", quant="UD-IQ1_S", endpoint=hub.url)["lock"]
    return lock


@pytest.mark.parametrize(("layout", "count"), [("merged", 1), ("shards", 3)])
def test_check_writes_nothing_a_run_writes_and_a_second_run_changes_nothing(
    lock: Dict[str, Any], rehearse: Run, layout: str, count: int
) -> None:
    check = rehearse(lock=lock, layout=layout, _ansible_check_mode=True)
    assert check["changed"]
    assert not Path(check["path"]).exists()

    made = rehearse(lock=lock, layout=layout)
    assert (made["changed"], made["actions"]) == (True, check["actions"])
    assert len(made["paths"]) == count
    assert made["size_bytes"] == sum(Path(path).stat().st_size for path in made["paths"])
    assert made["disk_bytes"] < made["size_bytes"]
    for path in made["paths"]:
        read_header(path)

    assert not rehearse(lock=lock, layout=layout)["changed"]


def test_absent_removes_all_of_it_and_then_finds_nothing(lock: Dict[str, Any], rehearse: Run) -> None:
    path = Path(rehearse(lock=lock)["path"])
    assert rehearse(state="absent", _ansible_check_mode=True)["changed"]
    assert path.exists()
    assert rehearse(state="absent")["changed"]
    assert not path.exists()
    assert not rehearse(state="absent")["changed"]


def test_a_file_that_is_another_one_on_the_hub_now_is_refused(lock: Dict[str, Any], rehearse: Run) -> None:
    lock["files"][1]["size_bytes"] += 1
    refused = rehearse(lock=lock)
    assert refused["failed"]
    assert not Path(refused["invocation"]["module_args"]["dest"]).exists()


def test_a_models_folder_is_refused_before_the_hub_is_asked(tmp_path: Path, rehearse: Run) -> None:
    refused = rehearse(lock={}, dest=str(tmp_path / "DeepSeek-R1"))
    assert "mistaken for a model's folder" in refused["msg"]
