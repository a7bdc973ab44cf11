# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server on loopback that answers whatever its attack says, byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Optional

# What must end after a second or two; a busy machine gets this long. The fault was "never".
SOON_SECONDS = 60.0


@dataclass(frozen=True)
class Asked:
    """One request: the path, the headers by their names in small letters, and the range."""

    number: int
    path: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def start(self) -> int:
        return int(self.headers["range"].partition("=")[2].partition("-")[0])

    @property
    def end(self) -> int:
        return int(self.headers["range"].rpartition("-")[2]) + 1


Attack = Callable[[Asked, socket.socket], None]


class Hostile:
    """Serves until the end of the block; each connection gets one answer, by the attack, and is closed."""

    def __init__(self, attack: Attack) -> None:
        self._attack = attack
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[Asked] = []

    def __enter__(self) -> Hostile:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                more = sock.recv(65536)
                if not more:
                    return
                data += more
            lines = data.decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in lines[1:] if ":" in line)
            headers = {name.strip().lower(): value.strip() for name, _colon, value in pairs}
            with self._lock:
                asked = Asked(len(self.asked), lines[0].split(" ")[1], headers)
                self.asked.append(asked)
            self._attack(asked, sock)


def drip(sock: socket.socket, piece: bytes, every_seconds: float = 0.2) -> None:
    """Send the piece again and again, until the other side has had enough."""
    end = time.monotonic() + 10 * SOON_SECONDS
    while time.monotonic() < end:
        if piece:
            sock.sendall(piece)
        elif not sock.recv(1):
            return
        time.sleep(every_seconds)


def partial_content(asked: Asked, size_bytes: int) -> bytes:
    """The head of an honest answer to the range that was asked for."""
    return (
        f"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {asked.start}-{asked.end - 1}/{size_bytes}\r\n"
        f"Content-Length: {asked.end - asked.start}\r\n\r\n"
    ).encode()
