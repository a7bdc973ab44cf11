# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors that want to keep a run for ever, or to fill the disk."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._install import fetch
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"


def drip(before: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def answer(client: socket.socket) -> None:
        client.sendall(before)
        while True:
            client.sendall(piece)
            time.sleep(0.05)

    return answer


def flood(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        client.sendall(bytes(1 << 20))


ANSWERS = {
    "a status line that never ends": drip(b"HTTP/1.1 200 ", b"O"),
    "headers that never end": drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "a hundred that never ends": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body of one byte at a time": drip(HEAD, b"a"),
    "a body that is not sent": drip(HEAD, b""),
    "a body that is larger than agreed": flood,
}


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = listener.accept()
                threading.Thread(target=handle, args=(client,), daemon=True).start()

    def handle(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.recv(65536)
            request.param(client)

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/a.tgz"
    listener.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("server", ANSWERS.values(), ids=ANSWERS.keys(), indirect=True)
def test_an_answer_that_never_ends_ends(server: str, tmp_path: Path) -> None:
    sink = io.BytesIO()
    with pytest.raises(InstallProblem):
        fetch.fetch(server, sink, None, 1 << 24, answer_seconds=1.0, whole_seconds=3.0)
    assert len(sink.getvalue()) <= 1 << 24
