# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts on one network file system, whose locks mean nothing to each other.

The file system is a real one of that kind: two mounts of sshfs, each with its own kernel locks. A mount of NFS needs a
kernel with its client, which test machines seldom have; what is particular to it (writes are seen elsewhere only after
a sync here and a new open there) is kept to in the code and not shown by these tests. The hosts are two processes with
a host name and a boot id of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._host.mounts import is_shared
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import lease as holder
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import removal
from ansible_collections.gguf.fleet.tests.builders.download import (
    COLLECTIONS,
    MIB,
    Model,
    child_command,
    leftovers,
    request,
    served,
)
from ansible_collections.gguf.fleet.tests.doubles.hub.faults import Fault

SFTP_SERVER = "/usr/lib/openssh/sftp-server"
PACE = Fault("slow", bytes_per_second=1_500_000)
AGAIN_AT_MOST = 32 * MIB


@contextlib.contextmanager
def mounted(share: Path, at: Path) -> Iterator[Path]:
    """The share over sshfs. Its server is started directly, without a network between."""
    if shutil.which("sshfs") is None or not Path(SFTP_SERVER).exists() or os.geteuid() != 0:
        pytest.skip("needs root, sshfs and an sftp-server: apt-get install sshfs openssh-sftp-server")
    at.mkdir()
    server = at.with_name(at.name + ".server")
    server.write_text(f"#!/bin/sh\nexec {SFTP_SERVER}\n", encoding="ascii")
    server.chmod(0o755)
    done = subprocess.run(
        ["sshfs", "-o", f"ssh_command={server}", f"host:{share}", str(at)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"sshfs cannot mount here: {done.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


class Host:
    """A machine of its own as far as names and boot ids tell, with the share mounted."""

    def __init__(self, place: Path, name: str, mount: Path) -> None:
        self.name = name
        self.mount = mount
        self.ledger = Ledger(str(place / f"{name}.ledger.json"))
        self._boot_id = place / f"{name}.boot-id"
        self._boot_id.write_text(f"00000000-0000-4000-8000-{name:0>12.12}\n", encoding="ascii")

    def start(self, lock: Dict[str, Any]) -> subprocess.Popen[str]:
        wanted = request(lock, self.mount / "models" / "tiny.gguf", connections=2)
        become = (
            f"hostname {self.name} && mount --bind {self._boot_id} /proc/sys/kernel/random/boot_id && "
            f"exec {shlex.join(child_command(wanted, self.ledger))}"
        )
        return subprocess.Popen(
            ["unshare", "--uts", "--mount", "sh", "-c", become],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(COLLECTIONS), "PATH": os.environ["PATH"]},
            text=True,
        )


@pytest.fixture(name="hosts")
def two_hosts(tmp_path: Path) -> Iterator[list[Host]]:
    (tmp_path / "share").mkdir()
    with mounted(tmp_path / "share", tmp_path / "mount-a") as one, mounted(tmp_path / "share", tmp_path / "b") as two:
        yield [Host(tmp_path, "host-a", one), Host(tmp_path, "host-b", two)]


def outcome(child: subprocess.Popen[str]) -> Dict[str, Any]:
    answer: Dict[str, Any] = json.loads(child.communicate(timeout=180)[0])
    return answer


def wait_for_bytes(hub: Any, count: int) -> None:
    end = time.monotonic() + 60
    while hub.bytes_sent() < count:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_network_file_system_is_seen_as_one(hosts: list[Host]) -> None:
    assert all(is_shared(str(host.mount / "m.gguf")) for host in hosts)


def test_two_hosts_on_a_share_fetch_once_and_the_second_tells_who_does_it(model: Model, hosts: list[Host]) -> None:
    with served(model, PACE) as hub:
        first, second = hosts[0].start(model.lock(hub)), None
        wait_for_bytes(hub, MIB)
        second = hosts[1].start(model.lock(hub))
        answers = [outcome(first), outcome(second)]
        assert hub.bytes_sent() < model.size_bytes + 64 * 1024, "the second host reads the headers and nothing else"
    assert answers[0]["bytes_moved"] == model.size_bytes
    assert answers[1]["seen"] == "done by process {} on host-a, with its settings".format(answers[0]["pid"])
    assert (hosts[1].mount / "models" / "tiny.gguf").read_bytes() == model.merged
    assert leftovers(hosts[1].mount / "models" / "tiny.gguf") == []


def test_a_transfer_is_stopped_from_another_host(model: Model, hosts: list[Host]) -> None:
    with served(model, PACE) as hub:
        first = hosts[0].start(model.lock(hub))
        wait_for_bytes(hub, MIB)
        elsewhere = request(model.lock(hub), hosts[1].mount / "models" / "tiny.gguf")
        stopped = removal.stopped(elsewhere)
        assert outcome(first)["reason"] == "stopped"
    assert stopped.changed
    assert "on host-a" in stopped.actions[0]


@pytest.mark.long
def test_the_other_host_goes_on_where_a_dead_one_ended(model: Model, hosts: list[Host]) -> None:
    # slow enough that the first one is not done before it dies
    with served(model, Fault("slow", bytes_per_second=300_000)) as hub:
        first = hosts[0].start(model.lock(hub))
        wait_for_bytes(hub, model.size_bytes // 2)
        second = hosts[1].start(model.lock(hub))
        time.sleep(2 * holder.BEAT_SECONDS)
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()
        hub.clear_faults()
        answer = outcome(second)
        assert hub.bytes_sent() <= model.size_bytes + AGAIN_AT_MOST
    assert answer["changed"]
    assert (hosts[1].mount / "models" / "tiny.gguf").read_bytes() == model.merged
