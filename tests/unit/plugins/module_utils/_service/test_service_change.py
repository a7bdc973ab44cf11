# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of a service, carried out on a server of which only the answers are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._install import releases
from ansible_collections.gguf.fleet.plugins.module_utils._service import change, health, journal
from ansible_collections.gguf.fleet.plugins.module_utils._service.plan import Action
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.state import State
from ansible_collections.gguf.fleet.tests.unit.plugins.module_utils._engine.scripted import answer_by

OLD, NEW = "0.5.7", "0.33.2"


class Ollama:
    """Two versions of a server and the model's share in GPU memory with each; it is its own manager."""

    log_command = "journalctl -u ollama"

    def __init__(self, root: Path, share: Dict[str, float], loaded: bool) -> None:
        self.root = root
        self.share = share
        self.running = OLD
        self.loaded = loaded
        self.loads: List[str] = []

    def state(self) -> State:
        return State(known=True, active=True, enabled=True, pid=7, restarts=0)

    def log_tail(self, _lines: int) -> List[str]:
        return []

    def command(self, verb: str) -> None:
        if verb == "restart":
            self.running = str(releases.current(str(self.root)))
            self.loaded = False

    def answer(self, _method: str, path: str) -> Tuple[int, bytes]:
        model = {"name": "r1:latest", "size": 1000, "size_vram": int(1000 * self.share[self.running])}
        if path == "/api/generate":
            self.loads.append(self.running)
            self.loaded = True
            return 200, b'{"done": true}'
        told: Dict[str, Any] = {
            "/api/version": {"version": self.running},
            "/api/tags": {"models": [model]},
            "/api/ps": {"models": [model] if self.loaded else []},
        }
        return 200, json.dumps(told[path]).encode()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(journal, "PENDING", str(tmp_path / "pending"))
    for version in (OLD, NEW):
        (tmp_path / version / "bin").mkdir(parents=True)
    releases.switch(str(tmp_path), OLD, {})
    return tmp_path


def upgrade(server: Ollama, monkeypatch: pytest.MonkeyPatch, models: Optional[List[str]] = None) -> change.Done:
    answer_by(monkeypatch, server.answer)
    wanted = health.Wanted("ollama", "http://127.0.0.1:1", NEW, tuple(models or []), False, 5, 5)
    actions = [Action("switch", NEW), Action("restart", "ollama", (f"version {OLD} -> {NEW}",))]
    return change.carry_out(actions, change.Target("ollama", str(server.root), {}, wanted), [], server)  # type: ignore[arg-type]


@pytest.mark.parametrize("loaded", [True, False])
def test_the_new_version_is_measured_by_what_the_old_one_had_on_the_gpus(
    root: Path, monkeypatch: pytest.MonkeyPatch, loaded: bool
) -> None:
    server = Ollama(root, {OLD: 1.0, NEW: 0.4}, loaded)
    with pytest.raises(ServiceProblem, match=r"40% .* now, 100% before.*put back \(version 0\.5\.7\) and serves again"):
        upgrade(server, monkeypatch, ["r1"])
    assert server.running == releases.current(str(root)) == OLD


def test_a_version_that_places_the_model_as_before_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Ollama(root, {OLD: 0.66, NEW: 0.66}, loaded=False)
    done = upgrade(server, monkeypatch, ["r1"])
    assert (done.health.model, done.health.gpu_share) == ("r1", 0.66)
    assert server.loads == [OLD, NEW]
    assert journal.read_reasons("ollama") == []


def test_without_a_declared_model_none_is_loaded_for_the_comparison(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Ollama(root, {OLD: 1.0, NEW: 0.0}, loaded=False)
    assert upgrade(server, monkeypatch).health.version == NEW
    assert server.loads == []
