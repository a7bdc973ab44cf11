# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of work that counts its own bytes: a merge, and the hash of a file that is there."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, Dict, Optional

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import (
    Gauge,
    Reporter,
    Status,
    StatusFile,
    read_status,
    status_of,
)

MIB = 1 << 20


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A reporter under a clock of its own, and its file."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.path = directory / "status"
        self.reporter = Reporter(StatusFile(str(self.path), {"pid": 7}), self.clock)

    @property
    def content(self) -> Optional[Dict[str, Any]]:
        return read_status(str(self.path))

    @property
    def status(self) -> Status:
        content = self.content
        assert content is not None
        return status_of(content)


@pytest.fixture(name="watched")
def _watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_the_rate_is_that_of_the_last_seconds_and_tells_the_time_left() -> None:
    clock = Clock()
    gauge = Gauge(clock)
    status = gauge.status("merge", 0, 1000 * MIB)
    assert (status.rate_bytes_per_second, status.eta_seconds) == (0.0, None)
    done = 0
    for rate in [10] * 20 + [40] * 20:  # MiB a second
        clock.now += 1
        done += rate * MIB
        status = gauge.status("merge", done, 1200 * MIB)
    assert status.rate_bytes_per_second == 40 * MIB
    assert status.eta_seconds == 5.0
    assert status.seconds == 40.0
    assert status.line() == "merge 83 %, 1000.0 MiB of 1.2 GiB, 40.0 MiB/s, 5 s left"


def test_what_was_there_before_is_not_counted_as_quick() -> None:
    clock = Clock()
    gauge = Gauge(clock)
    gauge.status("merge", 500 * MIB, 1000 * MIB)
    clock.now += 1
    assert gauge.status("merge", 510 * MIB, 1000 * MIB).rate_bytes_per_second == 10 * MIB


def test_each_phase_has_its_own_rate_and_its_own_share() -> None:
    clock = Clock()
    gauge = Gauge(clock)
    for done in (0, 100):
        status = gauge.status("verify", done * MIB, 400 * MIB)
        clock.now += 1
    assert status.line() == "verify 25 %, 100.0 MiB of 400.0 MiB, 100.0 MiB/s, 3 s left"
    assert status.bytes_done == status.bytes_total == 400 * MIB
    assert gauge.status("merge", 100 * MIB, 1000 * MIB).line() == "merge 10 %, 100.0 MiB of 1000.0 MiB"


def test_the_file_is_written_at_once_then_now_and_then_and_at_a_new_phase(watched: Watched) -> None:
    seen = []
    for second, phase, done in [
        (0.0, "verify", 1),
        (0.2, "verify", 2),
        (0.3, "merge", 3),
        (0.6, "merge", 4),
        (0.9, "merge", 5),
    ]:
        watched.clock.now = 1000.0 + second
        watched.reporter(phase, done, 10)
        seen.append(watched.status.counted[0])
    assert seen == [1, 1, 3, 3, 5]
    assert watched.content is not None
    assert (watched.content["status_version"], watched.content["holder"]) == (1, {"pid": 7})


def test_the_file_goes_with_the_work_that_wrote_it(watched: Watched) -> None:
    watched.reporter("merge", 1, 10)
    watched.reporter.close()
    assert not watched.path.exists()


def test_the_file_of_another_run_stays(watched: Watched) -> None:
    watched.path.write_text("{}")
    watched.reporter.close()
    assert watched.path.exists()


def test_work_goes_on_where_no_status_can_be_written(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    watched.reporter("merge", 1, 10)
    watched.reporter.close()
    assert watched.content is None


def test_a_link_in_the_place_of_the_file_is_not_followed(watched: Watched, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / "status.new").symlink_to(other)
    watched.reporter("merge", 1, 10)
    assert other.read_text() == "mine"
