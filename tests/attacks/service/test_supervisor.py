# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on the script that runs services without systemd: forged units, a full disk, processes that hide."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.integration.engines.supervised import SERVE, Service, alive

# Each ends a line for some reader (Python's splitlines, a text file opened as such, systemd) or hides one.
LINE_ENDS = ["\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\u202e", "\u200b", "\x00"]
HIDDEN = "setsid sleep 300 & echo $! > {child}.new && mv {child}.new {child}; wait"


@pytest.fixture
def service(reachable: Path) -> Iterator[Service]:
    made = Service(reachable)
    yield made
    assert made("stop").returncode == 0


def without_ptrace(service: Service) -> None:
    """From here on the script's root may not look into processes of other users, as in most containers."""
    service.within = ("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "--")


@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
def test_no_character_of_a_name_makes_a_line_of_the_unit(service: Service, end: str) -> None:
    canary = service.folder / "canary"
    service.unit(SERVE)
    forged = f'ExecStart=/bin/sleep "300 {end}ExecStart=/usr/bin/touch {canary}{end}"\n'
    with (service.units / "demo.service.d" / "z.conf").open("a", newline="") as drop_in:
        drop_in.write(f"[Service]\nExecStart=\n{forged}")
    done = service("start")
    assert not canary.exists()
    assert done.returncode == 1
    assert f"U+{ord(end[0]):04X}" in done.stderr


@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
def test_no_character_of_a_value_makes_a_variable(service: Service, end: str) -> None:
    service.unit(SERVE)
    (service.folder / "env").write_bytes(f'GREETING="x{end}GREETING=forged{end}"\n'.encode())
    service("start")
    service.until(lambda: "cannot start" in service.log() or "serving" in service.log())
    assert "forged" not in service.log()
    assert f"holds the character U+{ord(end[0]):04X}" in service.log()


@pytest.fixture
def full(service: Service) -> Iterator[Path]:
    """A small file system for the script's state and logs, filled to the last byte by `fill`."""
    small = service.folder / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=12", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets root mount nothing")
    for name in ("run", "log"):
        (small / name).mkdir()
        (service.folder / name).symlink_to(small / name)
    yield small
    service("stop")
    subprocess.run(["umount", "--lazy", str(small)], check=True)
    for name in ("run", "log"):
        (service.folder / name).unlink()


def fill(small: Path) -> None:
    with (small / "filler").open("ab", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(1024))
        except OSError:
            pass
    for number in range(100):
        try:
            (small / f"inode-{number}").touch()
        except OSError:
            return


def test_a_full_disk_ends_neither_the_service_nor_its_supervisor(service: Service, full: Path) -> None:
    service.unit("while :; do echo a line of some length, again and again; sleep 0.01; done", LogBytes=4000, LogFiles=2)
    assert service("start").returncode == 0
    state = service.status()
    service.until((full / "log" / "demo.log.1").exists)
    fill(full)
    # It goes on writing lines where there is no room, and comes back when its process is killed.
    for _kill in range(2):
        first = child_of(state["supervisor"])
        os.kill(first, signal.SIGKILL)
        service.until(partial(has_another_child, state["supervisor"], first))
    assert alive(state["supervisor"])
    for path in full.glob("inode-*"):
        path.unlink()
    (full / "filler").unlink()
    service.until(lambda: service.status()["active"])
    assert service.status()["supervisor"] == state["supervisor"]
    size = len(service.log())
    service.until(lambda: len(service.log()) != size)


def child_of(supervisor: int) -> int:
    told = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return int(told[0]) if told else 0


def has_another_child(supervisor: int, first: int) -> bool:
    return child_of(supervisor) not in (0, first)


def nobody(service: Service) -> dict[str, str]:
    """The settings of a service that runs as another user, which may write below its folder."""
    os.chown(service.folder, pwd.getpwnam("nobody").pw_uid, -1)
    return {"User": "nobody"}


def start_hiding(service: Service) -> int:
    child = service.folder / "child"
    service.unit(HIDDEN.format(child=child), **nobody(service))
    assert service("start").returncode == 0
    service.until(child.exists)
    return int(child.read_text())


@pytest.mark.parametrize("capable", [True, False], ids=["with CAP_SYS_PTRACE", "without"])
@pytest.mark.parametrize("verb", ["start", "stop"])
def test_what_a_killed_supervisor_left_is_ended(service: Service, capable: bool, verb: str) -> None:
    if not capable:
        without_ptrace(service)
    hidden, state = start_hiding(service), service.status()
    os.kill(state["supervisor"], signal.SIGKILL)
    service.until(lambda: not alive(state["pid"]))
    assert alive(hidden), "the hidden process has a session of its own"
    assert service(verb).returncode == 0
    assert not alive(hidden)


def test_what_a_killed_service_left_is_ended_before_it_starts_again(service: Service) -> None:
    hidden, pid = start_hiding(service), service.status()["pid"]
    os.kill(pid, signal.SIGKILL)
    service.until(lambda: service.status()["active"] and service.status()["pid"] != pid)
    assert not alive(hidden)


def test_a_process_that_hides_its_environment_is_ended_with_the_service(service: Service) -> None:
    service.unit(HIDDEN.format(child=service.folder / "child").replace("setsid", "setsid env -i"), **nobody(service))
    assert service("start").returncode == 0
    service.until((service.folder / "child").exists)
    hidden = int((service.folder / "child").read_text())
    assert service("stop").returncode == 0
    assert not alive(hidden)


def test_only_the_service_s_own_processes_are_ended(service: Service) -> None:
    mark = service.folder / "run/demo.json"
    others = [
        subprocess.Popen(["sleep", "300"], env={"GGUF_FLEET_SERVICE": f"{mark}2"}),
        # Of another container, seen through a shared table of processes.
        subprocess.Popen(["unshare", "--mount", "sleep", "300"], env={"GGUF_FLEET_SERVICE": str(mark)}),
    ]
    try:
        hidden = start_hiding(service)
        assert service("stop").returncode == 0
        assert not alive(hidden)
        assert [other.poll() for other in others] == [None, None]
    finally:
        for other in others:
            other.kill()
            other.wait()
