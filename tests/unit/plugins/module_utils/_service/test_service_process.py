# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._host import processes
from ansible_collections.gguf.fleet.plugins.module_utils._service import manager


@pytest.fixture
def listening() -> tuple[socket.socket, int]:
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server, server.getsockname()[1]


def test_the_holder_of_a_port_is_found_with_its_command(listening: tuple[socket.socket, int]) -> None:
    _server, port = listening
    sockets = processes.listeners("127.0.0.1", port)
    holder = processes.holder({found.inode for found in sockets})
    assert holder is not None
    assert holder.pid == os.getpid()
    assert "python" in holder.command or "pytest" in holder.command


def test_a_port_on_another_address_is_free(listening: tuple[socket.socket, int]) -> None:
    _server, port = listening
    assert processes.listeners("127.0.0.2", port) == []
    assert len(processes.listeners("0.0.0.0", port)) == 1


def test_open_connections_of_clients_are_counted(listening: tuple[socket.socket, int]) -> None:
    server, port = listening
    assert processes.clients(port) == []
    with socket.create_connection(("127.0.0.1", port)) as client:
        accepted = server.accept()
        assert processes.clients(port) == [f"127.0.0.1:{client.getsockname()[1]}"]
        accepted[0].close()


def test_addresses_of_both_families_are_read(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    row = "   0: {} 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 4711 1 0\n"
    (tmp_path / "net/tcp").write_text(head + row.format("0100007F:2CAA"))
    (tmp_path / "net/tcp6").write_text(head + row.format("00000000000000000000000001000000:2CAA"))
    found = processes.connections(str(tmp_path))
    assert [connection.local for connection in found] == [("127.0.0.1", 11434), ("::1", 11434)]
    assert {(connection.uid, connection.inode) for connection in found} == {(998, "4711")}


PID_1 = [
    ("systemd", (0, "running\n"), "systemd"),
    ("systemd", (1, "degraded\n"), "systemd"),
    ("systemd", (1, "starting\n"), "systemd"),
    ("systemd", (1, "offline\n"), "supervisord"),
    ("systemd", (127, "no such file"), "supervisord"),
    ("bash", (0, "running\n"), "supervisord"),
    ("tini", (127, ""), "supervisord"),
]


@pytest.mark.parametrize(("first", "answer", "name"), PID_1)
def test_systemd_counts_only_as_pid_1_that_answers(
    tmp_path: Path, first: str, answer: tuple[int, str], name: str
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1/comm").write_text(f"{first}\n")
    found, reason = manager.detect(str(tmp_path), lambda _argv: answer)
    assert found == name
    assert "PID 1 is" in reason


def test_systemd_s_view_of_a_service_is_read() -> None:
    told = "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nMainPID=0\nNRestarts=3\n"
    told += 'UnitFileState=enabled\nNeedDaemonReload=yes\nResult=exit-code\nEnvironment=A=1 "B=two words" C=\\"q\\"\n'
    service = manager.Systemd("ollama", lambda _argv: (0, told))
    state = service.state()
    assert (state.active, state.restarts, state.stale, state.failure) == (False, 3, True, "exit-code")
    assert service.environment() == {"A": "1", "B": "two words", "C": '"q"'}


def test_the_last_words_are_the_service_s_own_unless_it_said_nothing() -> None:
    def journal(argv: Sequence[str]) -> tuple[int, str]:
        return 0, own if "_SYSTEMD_UNIT=ollama.service" in argv else "Main process exited\n"

    own = "no kernel image\n"
    assert manager.Systemd("ollama", journal).log_tail(5) == ["no kernel image"]
    own = ""
    assert manager.Systemd("ollama", journal).log_tail(5) == ["Main process exited"]
