# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of a service that is cut off: killed at every point, on a full disk, at a switch that fails."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional, Tuple

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._install import releases
from ansible_collections.gguf.fleet.plugins.module_utils._service import change, health, journal
from ansible_collections.gguf.fleet.plugins.module_utils._service.plan import Action, File
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.state import State
from ansible_collections.gguf.fleet.tests.unit.plugins.module_utils._engine.scripted import answer_by

OLD, NEW = "0.5.7", "0.33.2"
# What a killed process did last; each is a place to die at.
STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.symlink", "os.rmdir", "test.manager", "test.proof")


class Host:
    """A service's files and its manager. What runs is what a file says, so that it outlives the run."""

    log_command = "journalctl -u demo"

    def __init__(self, folder: Path) -> None:
        self.root = folder / "versions"
        self.etc = folder / "etc"
        self.runs = folder / "runs"
        for version in (OLD, NEW):
            (self.root / version / "bin").mkdir(parents=True)
        self.etc.mkdir()
        self.unit = self.etc / "demo.service"
        self.keys = self.etc / "demo.env"
        self.proof_fails: Optional[Exception] = None
        self.drop_in = self.etc / "demo.service.d" / "gguf-fleet.conf"

    def install(self) -> None:
        """The service as it was before: with a unit and keys, and without the drop-in."""
        releases.switch(str(self.root), OLD, {})
        self.unit.write_text("old unit")
        self.keys.write_text("KEY=old")
        self.unit.chmod(0o644)
        self.keys.chmod(0o600)
        self.command("start")

    def state(self) -> State:
        running = self.runs.exists()
        return State(known=True, active=running, enabled=True, pid=7 if running else 0, restarts=0)

    def log_tail(self, _count: int) -> list[str]:
        return []

    def command(self, verb: str) -> None:
        sys.audit("test.manager")
        if verb == "stop":
            self.runs.unlink(missing_ok=True)
        elif verb in ("start", "restart"):
            self.runs.write_text(json.dumps([releases.current(str(self.root)), self.keys.read_text()]))
        sys.audit("test.manager")

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            str(path): (path.read_text(), path.stat().st_mode & 0o7777)
            for path in (self.unit, self.keys, self.drop_in, self.runs)
            if path.exists()
        }
        return {**found, "current": releases.current(str(self.root))}

    def target(self) -> change.Target:
        wanted = health.Wanted("llama_cpp", "http://127.0.0.1:1", NEW, (), False, 5, 5)
        return change.Target("demo", str(self.root), {}, wanted)

    def upgrade(self) -> None:
        files = [
            File(str(self.unit), "new unit"),
            File(str(self.drop_in), "new drop-in"),
            File(str(self.keys), "KEY=new", 0o600),
        ]
        actions = [*(Action("write", file.path) for file in files), Action("switch", NEW), Action("reload", "units")]
        change.carry_out([*actions, Action("restart", "demo", ("it changed",))], self.target(), files, self)  # type: ignore[arg-type]


@pytest.fixture
def host(reachable: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(journal, "PENDING", str(reachable / "pending"))
    monkeypatch.setattr(change, "STAYS_UP_SECONDS", 0.0)

    made = Host(reachable)

    def answer(_method: str, path: str) -> Tuple[int, bytes]:
        if path != "/v1/completions":
            return 200, b"{}"
        sys.audit("test.proof")
        if made.proof_fails is not None:
            raise made.proof_fails  # pylint: disable=raising-bad-type
        return 200, b"data: [DONE]\n"

    answer_by(monkeypatch, answer)
    made.install()
    return made


def killed_at(step: int, work: Callable[[], None]) -> bool:
    """Whether a process that does the work was killed at this step."""
    pid = os.fork()
    if not pid:
        left = [step]

        def die(event: str, _arguments: Any) -> None:
            if event in STEPS:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(die)
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def recover(host: Host) -> None:
    """What the next run does first."""
    before = journal.read("demo")
    if before is not None:
        change.recover(before, host.target(), host, restart=True)  # type: ignore[arg-type]


def test_a_run_that_is_killed_anywhere_is_put_back_by_the_next(host: Host) -> None:
    as_before = host.look()
    step, finished = 0, False
    while not finished:
        finished = not killed_at(step, host.upgrade)
        if finished or (journal.read("demo") is None and host.look() != as_before):
            # Not before the change was proven: the journal goes last.
            assert json.loads(host.runs.read_text()) == [NEW, "KEY=new"], step
            break
        recover(host)
        assert host.look() == as_before, step
        assert journal.read("demo") is None, step
        step += 1
    assert step > 30


def test_a_recovery_that_is_killed_anywhere_is_done_by_the_next(host: Host) -> None:
    as_before = host.look()
    step = 0
    while True:
        assert killed_at(proof_step(host), host.upgrade)
        finished = not killed_at(step, lambda: recover(host))
        recover(host)
        if journal.read_reasons("demo"):
            # Killed between the restart and the note of it: a restart too many does no harm.
            host.command("restart")
            journal.write_reasons("demo", [])
        assert host.look() == as_before, step
        if finished:
            break
        step += 3
    assert step > 10


def proof_step(host: Host) -> int:
    """The step at which the service is asked to prove that it serves."""
    if not hasattr(proof_step, "found"):
        seen: list[str] = []

        def count(event: str, _arguments: Any) -> None:
            if event in STEPS:
                seen.append(event)
                if event == "test.proof":
                    os.write(telling, str(len(seen)).encode())
                    os.kill(os.getpid(), signal.SIGKILL)

        told, telling = os.pipe()
        pid = os.fork()
        if not pid:
            sys.addaudithook(count)
            host.upgrade()
            os._exit(1)
        os.waitpid(pid, 0)
        proof_step.found = int(os.read(told, 16)) - 1  # type: ignore[attr-defined]
        recover(host)
    return int(proof_step.found)  # type: ignore[attr-defined]


def test_what_was_before_is_readable_by_root_alone(host: Host) -> None:
    def careless() -> None:
        os.umask(0)
        host.upgrade()

    assert killed_at(proof_step(host), careless)
    kept = Path(journal.PENDING)
    assert kept.stat().st_mode & 0o7777 == 0o700
    assert {path.stat().st_mode & 0o7777 for path in kept.iterdir()} == {0o600}
    assert "KEY=old" in (kept / "demo.before.json").read_text()
    recover(host)
    assert "KEY=old" not in "".join(path.read_text() for path in kept.iterdir())


@contextlib.contextmanager
def small(folder: Path) -> Iterator[None]:
    """The folder is a file system with 32 KiB of room."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets root mount nothing")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_at_the_second_file_puts_back_the_first(host: Host) -> None:
    with small(host.etc):
        host.install()
        as_before = host.look()
        files = [File(str(host.unit), "n" * 6000), File(str(host.keys), "K" * 60000, 0o600)]
        actions = [*(Action("write", file.path) for file in files), Action("restart", "demo", ("it changed",))]
        with pytest.raises(ServiceProblem, match=r"No space left on device.*put back \(demo\.service, demo\.env\)"):
            change.carry_out(actions, host.target(), files, host)  # type: ignore[arg-type]
        assert host.look() == as_before
        assert sorted(path.name for path in host.etc.iterdir()) == ["demo.env", "demo.service"]
    assert journal.read("demo") is None
    assert journal.read_reasons("demo") == []


def test_a_state_that_cannot_be_kept_lets_nothing_be_changed(host: Host) -> None:
    as_before = host.look()
    pending = Path(journal.PENDING)
    pending.mkdir()
    with small(pending):
        (pending / "filler").write_bytes(bytes(32 * 1024))
        with pytest.raises(ServiceProblem, match=r"No space left on device\. It was not changed"):
            host.upgrade()
    assert host.look() == as_before


@pytest.mark.parametrize("error", [OSError("no route"), RecursionError("too deep"), KeyError("models")], ids=repr)
def test_a_proof_that_fails_in_any_way_puts_everything_back(host: Host, error: Exception) -> None:
    as_before = host.look()
    host.proof_fails = error
    with pytest.raises(ServiceProblem, match=r"put back .*and serves again"):
        host.upgrade()
    assert host.look() == as_before
    assert journal.read("demo") is None


def test_a_switch_that_fails_puts_the_files_back(host: Host) -> None:
    (host.root / "previous").mkdir()
    as_before = host.look()
    with pytest.raises(ServiceProblem, match=r"previous is a directory.*put back"):
        host.upgrade()
    assert host.look() == as_before
    assert journal.read("demo") is None
