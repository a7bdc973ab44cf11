# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real SSH server on loopback whose connections can be cut."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest

_SETTINGS = """
HostKey {place}/host_key
AuthorizedKeysFile {place}/user_key.pub
PidFile none
UsePAM no
StrictModes no
ListenAddress 127.0.0.1
Port {port}
"""


class SshServer:
    """Serves this very user with a key of its own."""

    def __init__(self, place: Path, program: str) -> None:
        self._place = place
        self._program = program
        self._process: Optional[subprocess.Popen[bytes]] = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        for name in ("host_key", "user_key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)]
            subprocess.run(command, check=True)
        (place / "sshd_config").write_text(_SETTINGS.format(place=place, port=self._port), encoding="ascii")

    @property
    def variables(self) -> Dict[str, Any]:
        """What an inventory says of it."""
        return {
            "ansible_connection": "ssh",
            "ansible_host": "127.0.0.1",
            "ansible_port": self._port,
            "ansible_user": getpass.getuser(),
            "ansible_ssh_private_key_file": str(self._place / "user_key"),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            "ansible_control_path_dir": str(self._place / "cp"),
            # It has no sftp, which Ansible would try first and then warn.
            "ansible_ssh_transfer_method": "piped",
        }

    def start(self) -> None:
        command = [self._program, "-D", "-e", "-f", str(self._place / "sshd_config")]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            assert time.monotonic() < end, "sshd does not listen"
            time.sleep(0.05)

    def cut(self) -> None:
        """End the server and every connection to it, as a network that is gone does."""
        if self._process is not None:
            children = _children(self._process.pid)
            self._process.kill()
            self._process.wait()
            for child in children:
                os.kill(child, signal.SIGKILL)
            self._process = None


def _children(parent: int) -> List[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], check=False, capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


@contextlib.contextmanager
def ssh_server(place: Path) -> Iterator[SshServer]:
    program = shutil.which("sshd", path=os.defpath + ":/usr/sbin")
    if program is None or os.geteuid() != 0:
        pytest.skip("needs root and an SSH server: apt-get install openssh-server")
    Path("/run/sshd").mkdir(exist_ok=True)
    folder = place / "ssh"
    folder.mkdir()
    server = SshServer(folder, program)
    server.start()
    try:
        yield server
    finally:
        server.cut()
