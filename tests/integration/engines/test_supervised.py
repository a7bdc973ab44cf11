# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service where there is no systemd: the real supervisord, and what run-service adds to it, with real processes."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.integration.engines.supervised import SERVE, Service, alive
from ansible_collections.gguf.fleet.tests.integration.engines.test_unit_values import WORDS, random_words


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.end()


def serving(service: Service) -> int:
    """Starts it; the process."""
    assert service.daemon().returncode == 0
    service.until(lambda: "serving" in service.log() and service.status()["active"])
    return int(service.status()["pid"])


def test_it_starts_with_its_environment_and_stops_in_order(service: Service) -> None:
    service.unit(SERVE)
    pid = serving(service)
    assert 'serving hello "you"' in service.log()
    service.until(lambda: f"RUNNING   pid {pid}," in service.control("status").stdout)
    assert service.control("stop", "demo").returncode == 0
    assert not alive(pid)
    assert "bye" in service.log()


def test_after_each_crash_the_pause_grows(service: Service) -> None:
    service.unit("echo crash; exit 3")
    service.daemon()
    service.until(lambda: service.log().count("start again in") >= 3)
    assert re.findall(r"start again in (\S+) s", service.log())[:3] == ["0.1", "0.2", "0.4"]


def test_while_it_waits_it_is_not_taken_for_running_and_a_stop_is_heard(service: Service) -> None:
    service.unit("echo crash; exit 3", restart_seconds=60)
    service.daemon()
    service.until(lambda: "start again in 60 s" in service.log())
    assert service.status()["active"] is False
    assert service.control("stop", "demo").returncode == 0
    assert not alive(service.status()["pid"])


def test_after_each_start_models_are_loaded_beside_the_service(service: Service) -> None:
    service.unit(SERVE, {"GREETING": "you"})
    shell = 'sleep 0.2; echo "loads for $GREETING" &'
    (service.programs / "demo.loads.json").write_text(json.dumps(["/bin/sh", "-c", shell]))
    first = serving(service)
    service.until(lambda: "loads for you" in service.log())
    os.kill(first, signal.SIGKILL)
    service.until(lambda: service.log().count("loads for you") == 2)
    # What cannot be done does not keep the service from running.
    (service.programs / "demo.loads.json").write_text("[1]")
    os.kill(service.status()["pid"], signal.SIGKILL)
    service.until(lambda: "models are not loaded" in service.log() and service.status()["active"])


def test_a_killed_process_comes_back_with_the_settings_of_now(service: Service) -> None:
    service.unit(SERVE)
    first = serving(service)
    service.unit("echo second; " + SERVE)
    os.kill(first, signal.SIGKILL)
    service.until(lambda: service.status()["active"] and service.status()["pid"] != first)
    service.until(lambda: "second" in service.log())


def test_the_engine_does_not_survive_a_killed_supervisord(service: Service) -> None:
    service.unit(SERVE)
    pid = serving(service)
    os.kill(service.supervisor(), signal.SIGKILL)
    service.until(lambda: not alive(pid))
    assert serving(service) != pid


def test_a_process_that_does_not_end_is_killed_with_its_children(service: Service) -> None:
    child = service.folder / "child"
    service.unit(f"trap '' TERM; sleep 300 & echo $! > {child}; echo serving; while :; do sleep 0.1; done", umask="022")
    pid = serving(service)
    assert service.control("stop", "demo").returncode == 0
    service.until(lambda: not alive(int(child.read_text())) and not alive(pid))


def test_limits_umask_and_standard_input_are_the_service_s_own(service: Service) -> None:
    limits = {"nofile": 512, "memlock": "infinity", "core": 0}
    service.unit("ulimit -n; umask; readlink /proc/$$/fd/0; " + SERVE, limits=limits, umask="0027")
    serving(service)
    assert "\n512\n0027\n/dev/null\n" in service.log()


def test_nothing_of_supervisord_s_environment_reaches_the_service(service: Service) -> None:
    service.environment["OF_ROOT"] = "secret"
    service.unit("env; " + SERVE)
    serving(service)
    told = set(re.findall(r"^([A-Z_]+)=", service.log(), re.MULTILINE))
    assert told <= {"PATH", "HOME", "USER", "LOGNAME", "GREETING", "GGUF_FLEET_SERVICE", "PWD", "OLDPWD", "SHLVL", "_"}


def test_every_value_reaches_the_service_as_it_is(service: Service) -> None:
    words = tuple(WORDS + random_words(100))
    variables = {f"V{number}": word for number, word in enumerate(words)}
    tell = f"import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open('{service.folder}/told.new', 'w'))"
    moved = f"mv {service.folder}/told.new {service.folder}/told; echo serving; sleep 60"
    service.unit(f'/usr/bin/python3 -c "{tell}" "$@"; {moved}', variables, words)
    serving(service)
    argv, told = json.loads((service.folder / "told").read_text())
    assert argv == list(words)
    assert {name: told.get(name) for name in variables} == variables


def test_in_the_foreground_it_ends_with_its_services(service: Service) -> None:
    service.unit(SERVE)
    command = [str(service.folder / "supervisord"), "-n", "-c", str(service.folder / "supervisord.conf")]
    entry = subprocess.Popen(command, env=service.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    service.until(lambda: service.status()["active"])
    pid = service.status()["pid"]
    entry.terminate()
    assert entry.wait(20) == 0
    assert not alive(pid)
    assert "bye" in service.log()


def test_a_program_that_is_missing_is_said_in_the_log(service: Service) -> None:
    service.unit(SERVE)
    (service.folder / "program").unlink()
    service.daemon()
    service.until(lambda: "No such file" in service.log())


@pytest.mark.parametrize("name", ["../x", "a/b", "", "-x"])
def test_a_name_is_no_path(service: Service, name: str) -> None:
    done = service.run("run-service", name)
    assert done.returncode == 1
    assert "the name of one service" in done.stderr


def test_a_start_waits_for_the_lock_that_an_import_holds(service: Service) -> None:
    lock = service.folder / "lock"
    service.unit(SERVE, start_lock=str(lock))
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert service.daemon().returncode == 0
        service.until(lambda: "RUNNING" in service.control("status").stdout)
        assert service.status()["active"] is False
        assert "serving" not in service.log()
    service.until(lambda: "serving" in service.log())
    assert service.status()["active"]
