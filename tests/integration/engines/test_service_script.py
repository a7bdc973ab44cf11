# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that runs services where there is no systemd, with real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.integration.engines.supervised import SCRIPT, SERVE, Service, alive


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    assert made("stop").returncode == 0


def test_it_starts_with_its_environment_and_stops_in_order(service: Service) -> None:
    service.unit(SERVE)
    assert service("start").returncode == 0
    service.until(lambda: 'serving hello "you"' in service.log())
    pid = service.status()["pid"]
    assert alive(pid)
    assert service("stop").returncode == 0
    assert not alive(pid)
    assert "bye" in service.log()
    assert service("status").returncode == 3


def test_a_second_start_changes_nothing(service: Service) -> None:
    service.unit(SERVE)
    service("start")
    first = service.status()["pid"]
    assert service("start").returncode == 0
    assert service.status()["pid"] == first


def test_many_starts_at_once_make_one_service(service: Service) -> None:
    service.unit(SERVE)
    command = [sys.executable, str(SCRIPT), "start", "demo"]
    starts = [subprocess.Popen(command, env=service.environment) for _start in range(6)]
    assert [start.wait() for start in starts] == [0] * 6
    assert service.log().count("gguf-fleet: start ") == 1


def test_a_crash_is_followed_by_a_start_with_a_growing_delay(service: Service) -> None:
    service.unit("echo crash; exit 3")
    service("start")
    service.until(lambda: service.log().count("crash") >= 4)
    service.until(lambda: service.log().count("start again in") >= 4)
    log = service.log()
    assert "ended: exit 3" in log
    assert re.findall(r"start again in (\S+) s", log)[:4] == ["0.1", "0.2", "0.4", "0.8"]
    # The process speaks before its supervisor notes the start.
    service.until(lambda: service.status()["restarts"] >= 3)


def test_a_start_during_the_delay_reads_the_unit_again_and_starts_at_once(service: Service) -> None:
    service.unit("echo crash; exit 3", RestartSec=60)
    service("start")
    service.until(lambda: "start again in 60 s" in service.log())
    service.unit(SERVE)
    assert service("start").returncode == 0
    assert service.status()["active"] is True


def test_a_killed_process_comes_back(service: Service) -> None:
    service.unit(SERVE)
    service("start")
    first = service.status()["pid"]
    os.kill(first, signal.SIGKILL)
    service.until(lambda: service.status()["active"] and service.status()["pid"] != first)
    assert "ended: signal 9" in service.log()


def test_what_ended_in_order_stays_ended_with_restart_on_failure(service: Service) -> None:
    service.unit("exit 0", Restart="on-failure")
    service("start")
    service.until(lambda: "stopped" in service.log())
    assert service.log().count("gguf-fleet: start ") == 1


def test_the_engine_does_not_survive_a_killed_supervisor(service: Service) -> None:
    service.unit(SERVE)
    service("start")
    state = service.status()
    os.kill(state["supervisor"], signal.SIGKILL)
    service.until(lambda: not alive(state["pid"]))
    assert service.status()["active"] is False
    assert service("start").returncode == 0
    assert service.status()["active"] is True


def test_a_recycled_pid_is_not_taken_for_the_service(service: Service) -> None:
    service.unit(SERVE)
    (service.folder / "run").mkdir()
    stale = {"supervisor": os.getpid(), "supervisor_start": 1, "pid": os.getpid(), "pid_start": 1, "restarts": 0}
    (service.folder / "run" / "demo.json").write_text(json.dumps(stale))
    assert service.status()["active"] is False
    assert service("stop").returncode == 0
    assert alive(os.getpid())


def test_restart_reads_the_unit_again(service: Service) -> None:
    service.unit(SERVE)
    service("start")
    first = service.status()
    service.unit("echo second; " + SERVE)
    assert service("restart").returncode == 0
    assert service.status()["pid"] != first["pid"]
    assert service.status()["supervisor"] == first["supervisor"]
    service.until(lambda: "second" in service.log())


def test_a_restart_into_a_crash_is_said_at_once(service: Service) -> None:
    service.unit(SERVE)
    service("start")
    service.unit("exit 7", TimeoutStopSec=60)
    begun = time.monotonic()
    done = service("restart")
    # The process may be seen alive before it ends; then health is what finds it out.
    assert done.returncode == 0 or "did not start again: exit 7" in done.stderr
    assert time.monotonic() - begun < 10


def test_a_process_that_does_not_end_is_killed_with_its_children(service: Service) -> None:
    service.unit("trap '' TERM; sleep 300 & echo $! > child; trap '' TERM; while :; do sleep 0.1; done")
    (service.units / "demo.service.d" / "z.conf").write_text(f"[Service]\nWorkingDirectory={service.folder}\n")
    service("start")
    service.until(lambda: (service.folder / "child").exists() and (service.folder / "child").read_text().strip())
    child, pid = int((service.folder / "child").read_text()), service.status()["pid"]
    assert service("stop").returncode == 0
    service.until(lambda: not alive(child) and not alive(pid))


def test_one_log_is_kept_with_a_few_predecessors(service: Service) -> None:
    service.unit(
        "i=0; while [ $i -lt 2000 ]; do echo line $i $(printf %040d 0); i=$((i+1)); done;" + SERVE,
        LogBytes=20000,
        LogFiles=3,
    )
    service("start")
    service.until(lambda: "serving" in service.log())
    logs = sorted(path.name for path in (service.folder / "log").iterdir())
    assert logs == ["demo.log", "demo.log.1", "demo.log.2"]
    assert all(path.stat().st_size <= 100_000 for path in (service.folder / "log").iterdir())


def test_limits_and_umask_of_the_unit_hold(service: Service) -> None:
    service.unit("ulimit -n; umask; " + SERVE, LimitNOFILE=512, UMask="0027", LimitMEMLOCK="infinity")
    service("start")
    service.until(lambda: "serving" in service.log())
    assert "\n512\n0027\n" in service.log()


def test_it_is_a_container_s_entry_point_that_ends_with_the_container(service: Service) -> None:
    service.unit(SERVE)
    command = [sys.executable, str(SCRIPT), "run", "demo"]
    entry = subprocess.Popen(command, env=service.environment, stdout=subprocess.PIPE, text=True)
    service.until(lambda: service.status()["active"])
    first = service.status()["pid"]
    assert service("restart").returncode == 0
    assert service.status()["pid"] != first
    assert entry.poll() is None
    entry.terminate()
    output, _errors = entry.communicate(timeout=10)
    assert entry.returncode == 0
    assert "serving" in output
    assert "bye" in output


def test_the_service_outlives_the_session_that_started_it(service: Service) -> None:
    service.unit(SERVE)
    command = f"{sys.executable} {SCRIPT} start demo"
    subprocess.run(["setsid", "sh", "-c", f"{command}; kill -HUP 0"], env=service.environment, check=False)
    time.sleep(0.3)
    assert service.status()["active"] is True


REFUSED = {
    "an unknown service": (None, "there is no service demo"),
    "no command": ("[Service]\nUser=root\n", "has no ExecStart"),
}


@pytest.mark.parametrize(("unit", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_run_is_said(service: Service, unit: str, message: str) -> None:
    if unit:
        (service.units / "demo.service").write_text(unit)
    done = service("start")
    assert done.returncode == 1
    assert message in done.stderr


def test_a_program_that_is_missing_is_said_with_the_log(service: Service) -> None:
    service.unit(SERVE)
    (service.folder / "program").unlink()
    done = service("start")
    assert done.returncode == 1
    assert "No such file" in done.stderr
    assert "demo.log" in done.stderr


@pytest.mark.parametrize("name", ["../x", "a/b", "", "-x"])
def test_a_name_is_no_path(service: Service, name: str) -> None:
    command = [sys.executable, str(SCRIPT), "status", "--", name]
    done = subprocess.run(command, env=service.environment, text=True, capture_output=True, check=False)
    assert "is not the name of a service" in done.stderr
