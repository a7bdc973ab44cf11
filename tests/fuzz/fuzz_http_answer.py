# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coverage-guided fuzzing of HTTP answers: any bytes are the range that was asked for, or an error with a name."""

from __future__ import annotations

import http.client
import socket
import sys
from pathlib import Path
from time import process_time

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

with atheris.instrument_imports(include=["ansible_collections.gguf.fleet"]):
    from ansible_collections.gguf.fleet.plugins.module_utils._http import deadline
    from ansible_collections.gguf.fleet.plugins.module_utils._http.answer import read_body
    from ansible_collections.gguf.fleet.plugins.module_utils._http.client import HttpClient
    from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError

MAX_SECONDS = 5
LIMIT_BYTES = 10_000
HEADS = [
    b"",
    b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-24/100\r\nContent-Length: 20\r\n",
    b"HTTP/1.1 206 Partial Content\r\nContent-Range: ",
    b"HTTP/1.1 200 OK\r\nContent-Length: ",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ",
    b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: ",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 ",
]


class Answered(deadline.Connection):
    """A connection to a server that has said all that it will ever say."""

    answer = b""

    def connect(self) -> None:
        self.sock, other = socket.socketpair()
        with other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            other.sendall(self.answer)
            other.shutdown(socket.SHUT_WR)
            # What is sent to it goes nowhere, and is no error.
            self.sock.settimeout(1)
            self._other = other.dup()

    def close(self) -> None:
        super().close()
        other = getattr(self, "_other", None)
        if other is not None:
            other.close()


HttpClient._new_connection = (  # type: ignore[method-assign]
    lambda self, scheme, host, port, proxy: Answered(host, port, self._deadline)
)


def one_input(data: bytes) -> None:
    if not data:
        return
    Answered.answer = HEADS[data[0] % len(HEADS)] + data[1:]
    started = process_time()
    check_range()
    check_answer()
    seconds = process_time() - started
    if seconds > MAX_SECONDS:
        raise AssertionError(f"{len(data)} bytes took {seconds:.1f} s")


def check_range() -> None:
    client = HttpClient(timeout_seconds=2)
    try:
        body = client.open_range("http://hub.test/a", 5, 20)
        assert len(read_body(body, 5, 20, timeout_seconds=2)) <= 20
    except TransferError as error:
        assert error.problem and error.remedy and error.reason
    finally:
        client.close()


def check_answer() -> None:
    for lines in (False, True):
        connection = Answered("hub.test", 80, deadline.Deadline(2))
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            if lines:
                for line in deadline.read_lines(response, line_bytes=100, limit_bytes=LIMIT_BYTES):
                    assert len(line) <= 100
            else:
                assert len(deadline.read_answer(response, limit_bytes=LIMIT_BYTES)) <= LIMIT_BYTES
        except deadline.AnswerProblem as problem:
            assert problem.reason in ("too-long", "too-slow", "cut", "broken")
        except (OSError, http.client.HTTPException):
            # The head of the answer is for the caller to judge.
            pass
        finally:
            connection.close()


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
