# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._process.bounded import ProcessProblem, run_bounded


def test_what_it_wrote_and_its_exit_code_are_told() -> None:
    ended = run_bounded(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], seconds=20)
    assert (ended.code, ended.stdout, ended.stderr) == (3, b"out\n", b"err\n")


def test_one_that_does_not_end_is_killed_with_its_children() -> None:
    started = time.monotonic()
    with pytest.raises(ProcessProblem, match="did not end within 1 s"):
        run_bounded(["/bin/sh", "-c", "trap '' TERM; sleep 4712 & sleep 4712"], seconds=1)
    assert time.monotonic() - started < 20
    # What was killed is there until the kernel has ended it.
    end = time.monotonic() + 20
    while sleeps("4712") and time.monotonic() < end:
        time.sleep(0.05)
    assert not sleeps("4712")


def sleeps(seconds: str) -> bool:
    """Whether a process sleeps for just so long."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes() == f"sleep\0{seconds}\0".encode():
                return True
    return False


def test_one_that_writes_without_end_is_killed() -> None:
    with pytest.raises(ProcessProblem, match="wrote more than 1000 bytes"):
        run_bounded(["/bin/sh", "-c", "while :; do echo yes; done"], seconds=20, limit_bytes=1000)


def test_a_service_that_it_started_goes_on_and_keeps_nobody_waiting() -> None:
    started = time.monotonic()
    ended = run_bounded(["/bin/sh", "-c", "sleep 600 & echo $!"], seconds=100)
    assert time.monotonic() - started < 50
    os.kill(int(ended.stdout), 0)
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(ended.stdout), signal.SIGKILL)


def test_one_that_is_not_there_is_told() -> None:
    with pytest.raises(ProcessProblem, match="cannot be started"):
        run_bounded(["/nonexistent/program"], seconds=20)


def test_the_environment_is_ours_or_the_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_OURS", "1")
    assert b"OF_OURS=1" in run_bounded(["/usr/bin/env"], seconds=20).stdout
    assert run_bounded(["/usr/bin/env"], seconds=20, environment={"A": "b"}).stdout == b"A=b\n"
