# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""HTTP connections that end in time, and answers of bounded size, whatever the other side does.

A timeout of a socket counts anew with every byte, so a server that sends one byte a second keeps its client for ever:
in the status line, in headers, in an endless row of `100 Continue`, in a body. Here every read and every write, name
lookup aside, also obeys one deadline for the whole exchange.

    connection = Connection("127.0.0.1", 11434, Deadline(30))
    connection.request("GET", "/api/tags")
    body = read_answer(connection.getresponse(), limit_bytes=1 << 20)
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from typing import Any, Callable, Iterator, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

CONNECT_SECONDS = 10.0
_READ_BYTES = 64 * 1024


class Overdue(socket.timeout):
    """The deadline has passed. A socket.timeout, so whoever handles those handles this one, too."""


class Deadline:
    """A moment that all parts of an exchange have to respect; `renew` begins the next exchange."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.renew(seconds)

    def renew(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = self._clock() + seconds

    def left(self) -> float:
        """The seconds that are left; raises Overdue when there are none."""
        left = self._end - self._clock()
        if left <= 0:
            raise Overdue(f"not done within {self.seconds:g} s")
        return left


class AnswerProblem(Problem):
    """An answer cannot be used; ``reason`` is one of too-long, too-slow, cut, broken."""

    def __init__(self, problem: str, remedy: str, *, reason: str) -> None:
        super().__init__(problem, remedy)
        self.reason = reason


class _TimedReader(io.RawIOBase):
    """What a response reads from: each receive waits no longer than the deadline and the allowed silence permit."""

    def __init__(self, connection: Connection, sock: socket.socket) -> None:
        super().__init__()
        self._connection = connection
        # Counts as a user of the socket: a response that is read to the end of its connection outlives the connection.
        self._raw = sock.makefile("rb", buffering=0)
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Optional[int]:
        patience = self._connection.patience()
        self._sock.settimeout(patience)
        try:
            return self._sock.recv_into(buffer)
        except socket.timeout:
            raise Overdue(f"no byte within {patience:.3g} s") from None

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, connection: Connection, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_TimedReader(connection, sock))


class Connection(http.client.HTTPConnection):
    """An HTTP connection, with TLS where a context is given, whose exchanges obey a deadline.

    ``silence_seconds`` bounds the wait for the next byte as well; None leaves that to the deadline alone.
    """

    def __init__(
        self,
        host: str,
        port: int,
        deadline: Deadline,
        *,
        context: Optional[ssl.SSLContext] = None,
        silence_seconds: Optional[float] = None,
        connect_seconds: float = CONNECT_SECONDS,
        blocksize: int = _READ_BYTES,
    ) -> None:
        super().__init__(host, port, blocksize=blocksize)
        self.deadline = deadline
        self.silence_seconds = silence_seconds
        self._connect_seconds = connect_seconds
        self._context = context
        if context is not None:
            self.default_port = http.client.HTTPS_PORT
        self._tls_name = host
        self._create_connection = self._dial

    def set_tunnel(self, host: str, port: Optional[int] = None, headers: Any = None) -> None:
        super().set_tunnel(host, port, headers)
        self._tls_name = host

    def response_class(  # type: ignore[override]
        self, sock: socket.socket, *args: Any, **options: Any
    ) -> http.client.HTTPResponse:
        return _TimedResponse(self, sock, *args, **options)

    def patience(self) -> float:
        """How long one read or write may wait now."""
        left = self.deadline.left()
        return left if self.silence_seconds is None else min(left, self.silence_seconds)

    def connect(self) -> None:
        super().connect()
        if self._context is not None:
            # A handshake counts its timeout as a whole, not for each packet.
            self.sock.settimeout(min(self._connect_seconds, self.deadline.left()))
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self._tls_name)

    def send(self, data: Any) -> None:
        """As the standard library sends, in pieces that each obey the deadline."""
        if self.sock is None:
            self.connect()
        if isinstance(data, (bytes, bytearray, memoryview)):
            pieces: Iterator[Any] = (data[at : at + self.blocksize] for at in range(0, len(data), self.blocksize))
        elif hasattr(data, "read"):
            pieces = iter(lambda: data.read(self.blocksize), b"")
        else:
            pieces = iter(data)
        for piece in pieces:
            self.sock.settimeout(self.patience())
            self.sock.sendall(piece)

    def _dial(self, address: Tuple[str, int], *_args: Any) -> socket.socket:
        """The first address that answers; all addresses together get the time of one."""
        waiting = Deadline(min(self._connect_seconds, self.deadline.left()))
        failed: Optional[OSError] = None
        for family, kind, protocol, _name, where in socket.getaddrinfo(*address, 0, socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(waiting.left())
                sock.connect(where)
                return sock
            except OSError as error:
                sock.close()
                failed = error
        raise failed or OSError(f"{address[0]} has no address")


def read_answer(response: http.client.HTTPResponse, *, limit_bytes: int, what: str = "The answer") -> bytes:
    """The whole body, or an AnswerProblem: nothing that is longer than the limit, late or incomplete is ever used."""
    data = bytearray()
    with _told(what):
        while True:
            piece = response.read(min(_READ_BYTES, limit_bytes + 1 - len(data)))
            data += piece
            if len(data) > limit_bytes:
                raise _too_long(what, limit_bytes)
            if not piece:
                break
        _refuse_cut(response, what)
    return bytes(data)


def read_lines(
    response: http.client.HTTPResponse, *, line_bytes: int, limit_bytes: int, what: str = "The answer"
) -> Iterator[bytes]:
    """The lines of a body as they come, each without its line end; no line and no sum of lines above its limit."""
    total = 0
    with _told(what):
        while True:
            line = response.readline(line_bytes + 1)
            total += len(line)
            if len(line) > line_bytes or total > limit_bytes:
                raise _too_long(what, min(line_bytes, limit_bytes))
            if not line:
                break
            yield line.rstrip(b"\r\n")
        _refuse_cut(response, what)


class _told:
    """Turns whatever ends the reading of an answer into an AnswerProblem."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, _trace: Any) -> None:
        if isinstance(error, socket.timeout):
            raise AnswerProblem(
                f"{self._what} came too slowly ({error}).",
                "Check what keeps the server or the network busy, then run again.",
                reason="too-slow",
            ) from error
        if isinstance(error, http.client.IncompleteRead):
            raise _cut(self._what) from error
        if isinstance(error, (OSError, ValueError, http.client.HTTPException)):
            raise AnswerProblem(
                f"{self._what} cannot be read ({str(error) or type(error).__name__}).",
                "Check the address and what else listens there.",
                reason="broken",
            ) from error


def _refuse_cut(response: http.client.HTTPResponse, what: str) -> None:
    if response.length:
        raise _cut(what)


def _cut(what: str) -> AnswerProblem:
    return AnswerProblem(
        f"{what} ended before its end.", "Check whether the server works, then run again.", reason="cut"
    )


def _too_long(what: str, limit_bytes: int) -> AnswerProblem:
    return AnswerProblem(
        f"{what} is longer than {limit_bytes:,} bytes.",
        "Check the address and what else listens there: no answer of this kind is so long.",
        reason="too-long",
    )
