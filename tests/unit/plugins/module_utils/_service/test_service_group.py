# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several services of one release: the release is switched once, and all go back when one does not serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Sequence

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._install import releases
from ansible_collections.gguf.fleet.plugins.module_utils._service import change, group, health, journal
from ansible_collections.gguf.fleet.plugins.module_utils._service.plan import Action, plan_started
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.state import State
from ansible_collections.gguf.fleet.tests.unit.plugins.module_utils._engine.scripted import answer_by

OLD, NEW = "0.5.7", "0.33.2"
NAMES = ["ollama", "ollama-2", "ollama-3"]


class Manager:
    """Of one service; `runs` is the release that its process was started from, None for none."""

    log_command = "journalctl"
    name = "systemd"

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.runs: Optional[str] = releases.current(self.root)
        self.starts = 0

    def state(self) -> State:
        return State(known=True, active=self.runs is not None, enabled=True, pid=7, restarts=0)

    def log_tail(self, _count: int) -> list[str]:
        return []

    def command(self, verb: str) -> None:
        if verb in ("start", "restart"):
            self.runs = releases.current(self.root)
            self.starts += 1


def wanted_of(name: str, version: str) -> health.Wanted:
    return health.Wanted("llama_cpp", f"http://{name}", version, (), False, 5, 5)


class Host:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "versions"
        for version in (OLD, NEW):
            (self.root / version / "bin").mkdir(parents=True)
        releases.switch(str(self.root), OLD, {})
        self.managers = {name: Manager(self.root) for name in NAMES}
        self.broken: set[str] = set()
        self.at = ""

    def run(self, version: str, names: Sequence[str] = tuple(NAMES), stop_after: int = 9) -> None:
        """What engine_service does for each of them, one after the other."""
        for number, name in enumerate(names[:stop_after]):
            manager: Any = self.managers[name]
            self.at = name
            target = change.Target(name, str(self.root), {}, wanted_of(name, version))
            unfinished = group.unfinished(names, name)
            if unfinished:
                change.recover(unfinished, target, manager, restart=True)
            current = group.version_before(names, str(self.root)) if number else releases.current(str(self.root))
            actions = plan_started(
                name, [], {}, manager.state(), current=current, version=version, wrong_links=[], restart="auto",
                pending=journal.read_reasons(name), follows=number > 0,
            )  # fmt: skip
            if actions:
                group.carry_out(names, actions, target, [], lambda name: self.managers[name])  # type: ignore[arg-type,return-value]
            group.settle(names, name)

    def look(self) -> list[Optional[str]]:
        return [releases.current(str(self.root)), *(manager.runs for manager in self.managers.values())]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(journal, "PENDING", str(tmp_path / "pending"))
    monkeypatch.setattr(change, "STAYS_UP_SECONDS", 0.0)
    made = Host(tmp_path)

    def answer(_method: str, path: str) -> tuple[int, bytes]:
        if path == "/v1/completions" and made.at in made.broken and made.managers[made.at].runs == NEW:
            raise ServiceProblem(f"{made.at} gives no answer.", "")
        return 200, b"data: [DONE]\n" if path == "/v1/completions" else b"{}"

    answer_by(monkeypatch, answer)
    return made


def test_the_release_is_switched_once_and_each_server_is_restarted_once(host: Host) -> None:
    host.run(NEW)
    assert host.look() == [NEW, NEW, NEW, NEW]
    assert [manager.starts for manager in host.managers.values()] == [1, 1, 1]
    host.run(NEW)
    assert [manager.starts for manager in host.managers.values()] == [1, 1, 1] and journal.read("ollama") is None


@pytest.mark.parametrize("broken", NAMES)
def test_all_go_back_when_one_does_not_answer(host: Host, broken: str) -> None:
    host.broken = {broken}
    with pytest.raises(ServiceProblem, match=f"{broken} gives no answer.") as caught:
        host.run(NEW)
    assert host.look() == [OLD, OLD, OLD, OLD]
    for earlier in NAMES[: NAMES.index(broken)]:
        assert f"{earlier} was put back and serves again." in caught.value.problem
    assert [journal.read(name) for name in NAMES] == [None] * 3
    host.broken = set()
    host.run(NEW)
    assert host.look() == [NEW, NEW, NEW, NEW]


@pytest.mark.parametrize("ended_after", [1, 2])
def test_a_run_that_ends_between_two_servers_is_completed_by_the_next_one(host: Host, ended_after: int) -> None:
    host.run(NEW, stop_after=ended_after)
    assert None not in [journal.read(name) for name in NAMES[:ended_after]]
    host.run(NEW)
    assert host.look() == [NEW, NEW, NEW, NEW]
    assert [journal.read(name) for name in NAMES] == [None] * 3


def test_one_that_is_new_has_nothing_to_go_back_to_and_the_others_do(host: Host) -> None:
    host.managers["ollama-3"].runs = None
    host.broken = {"ollama-3"}
    with pytest.raises(ServiceProblem, match="ollama-3 gives no answer"):
        host.run(NEW)
    assert host.look()[:3] == [OLD, OLD, OLD]


def test_what_is_restarted_says_why(host: Host) -> None:
    def planned(follows: bool) -> list[Action]:
        return plan_started(
            "ollama", [], {}, host.managers["ollama"].state(), current=OLD, version=NEW, wrong_links=[],
            restart="auto", pending=(), follows=follows,
        )  # fmt: skip

    assert [str(action) for action in planned(True)] == [f"restart ollama: version {OLD} -> {NEW}"]
    assert [action.verb for action in planned(False)] == ["switch", "restart"]
