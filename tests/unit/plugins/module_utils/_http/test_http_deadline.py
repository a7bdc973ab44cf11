# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that end in time and answers of bounded size, against sockets that misbehave on purpose."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._http.deadline import (
    AnswerProblem,
    Connection,
    Deadline,
    Overdue,
    read_answer,
    read_lines,
)

# What must end after a fraction of a second; a busy machine gets this long.
SOON_SECONDS = 20.0
Serve = Callable[[socket.socket], None]


@contextlib.contextmanager
def server(serve: Serve) -> Iterator[int]:
    """A server on loopback that does with each connection what it is told."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                accepted, _peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(accepted,), daemon=True).start()

    def handle(accepted: socket.socket) -> None:
        with accepted, contextlib.suppress(OSError):
            serve(accepted)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def after_request(answer: bytes, *, drip: bytes = b"", close: bool = False) -> Serve:
    """Answer a request, and then send the drip again and again, slowly but for ever."""

    def serve(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(answer)
        if close:
            return
        while True:
            if drip:
                sock.sendall(drip)
            time.sleep(0.05)

    return serve


DRIPS = {
    "nothing": (b"", b""),
    "status line": (b"HTTP/1.1 ", b"2"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"x"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
    "body without a length": (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    "chunk size": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "chunk extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"x"),
}


def get(connection: Connection, limit_bytes: int = 1 << 20) -> bytes:
    try:
        connection.request("GET", "/")
        return read_answer(connection.getresponse(), limit_bytes=limit_bytes, what="The answer of the test")
    finally:
        connection.close()


@pytest.mark.parametrize("where", DRIPS)
def test_a_server_that_drips_for_ever_is_left_at_the_deadline(where: str) -> None:
    answer, drip = DRIPS[where]
    began = time.monotonic()
    with server(after_request(answer, drip=drip)) as port, pytest.raises((AnswerProblem, Overdue)) as caught:
        get(Connection("127.0.0.1", port, Deadline(0.25)))
    assert time.monotonic() - began < SOON_SECONDS
    if isinstance(caught.value, AnswerProblem):
        assert caught.value.reason == "too-slow" and caught.value.remedy


def test_a_tls_handshake_and_a_proxy_that_never_end_obey_the_deadline() -> None:
    with server(after_request(b"\x16\x03\x03\x40\x00", drip=b"x")) as port, pytest.raises(OSError):
        get(Connection("127.0.0.1", port, Deadline(0.25), context=ssl.create_default_context()))
    with server(after_request(b"HTTP/1.1 200 OK\r\n", drip=b"x")) as port, pytest.raises(Overdue):
        connection = Connection("127.0.0.1", port, Deadline(0.25))
        connection.set_tunnel("127.0.0.1", 1)
        get(connection)


def test_a_server_that_reads_nothing_does_not_hold_a_sender() -> None:
    with server(lambda sock: time.sleep(SOON_SECONDS)) as port, pytest.raises(socket.timeout):
        connection = Connection("127.0.0.1", port, Deadline(0.25))
        connection.request("POST", "/", body=b"x" * (64 << 20))


def test_silence_ends_an_exchange_long_before_its_deadline() -> None:
    began = time.monotonic()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    with server(after_request(answer)) as port, pytest.raises(AnswerProblem) as caught:
        get(Connection("127.0.0.1", port, Deadline(600), silence_seconds=0.3))
    assert caught.value.reason == "too-slow" and time.monotonic() - began < SOON_SECONDS


BODIES = {
    "length": (b"Content-Length: 5\r\n\r\nhello", None),
    "chunked": (b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", None),
    "until the end": (b"\r\nhello", None),
    "cut": (b"Content-Length: 50\r\n\r\nhello", "cut"),
    "cut chunk": (b"Transfer-Encoding: chunked\r\n\r\n50\r\nhello", "cut"),
    "no chunk": (b"Transfer-Encoding: chunked\r\n\r\nhello\r\n", "cut"),
    "long": (b"Content-Length: 6\r\n\r\nhello!", "too-long"),
    "long without a length": (b"\r\nhello!", "too-long"),
    "long chunks": (b"Transfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n0\r\n\r\n", "too-long"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_only_a_whole_answer_below_its_limit_is_an_answer(kind: str) -> None:
    body, reason = BODIES[kind]
    with server(after_request(b"HTTP/1.1 200 OK\r\n" + body, close=True)) as port:
        connection = Connection("127.0.0.1", port, Deadline(SOON_SECONDS))
        if reason is None:
            assert get(connection, 5) == b"hello"
            return
        with pytest.raises(AnswerProblem, match="The answer of the test") as caught:
            get(connection, 5)
    assert caught.value.reason == reason


def test_lines_come_one_by_one_and_are_bounded_singly_and_together() -> None:
    def lines(answer: bytes, line_bytes: int, limit_bytes: int) -> Iterator[bytes]:
        with server(after_request(b"HTTP/1.1 200 OK\r\n\r\n" + answer, close=True)) as port:
            connection = Connection("127.0.0.1", port, Deadline(SOON_SECONDS))
            connection.request("GET", "/")
            yield from read_lines(connection.getresponse(), line_bytes=line_bytes, limit_bytes=limit_bytes)

    # A form feed or U+2028 ends no line of a stream.
    assert list(lines("a\u2028\x0cb\r\nc\n".encode(), 10, 100)) == ["a\u2028\x0cb".encode(), b"c"]
    with pytest.raises(AnswerProblem, match="longer than 3 bytes"):
        list(lines(b"abcd\n", 3, 100))
    with pytest.raises(AnswerProblem, match="longer than 5 bytes"):
        list(lines(b"ab\ncd\nef\n", 5, 5))


def test_a_connection_serves_again_after_its_deadline_was_renewed() -> None:
    def serve(sock: socket.socket) -> None:
        while sock.recv(65536):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with server(serve) as port:
        connection = Connection("127.0.0.1", port, Deadline(SOON_SECONDS))
        for _count in range(3):
            connection.deadline.renew(SOON_SECONDS)
            connection.request("GET", "/")
            assert read_answer(connection.getresponse(), limit_bytes=10) == b"ok"
        connection.deadline.renew(-1)
        with pytest.raises(Overdue):
            connection.request("GET", "/")
        connection.close()
