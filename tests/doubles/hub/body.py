# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sending a byte range of a file, whole and quick or with the faults that apply to it."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import os
import re
import socket
import ssl
import struct
import threading
import time
from pathlib import Path
from typing import Callable, Iterator, Mapping, Optional, Tuple

from .faults import ActiveFault, FaultSet

SENDFILE_BYTES = 1 << 20
FAULTY_BLOCK_BYTES = 1 << 16
# The faults that act while a body is on its way.
ON_THE_WAY = ("flip", "slow", "reset", "stall", "truncate", "replace")
# The other file behind the same address: the same size, every byte changed.
REPLACED_XOR = 0x5A
_REPLACED = bytes(value ^ REPLACED_XOR for value in range(256))
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


class Unsatisfiable(Exception):
    """The range begins behind the end of the file."""


class ConnectionCut(Exception):
    """The response ended on purpose before its end."""


def requested_range(header: Optional[str], size_bytes: int) -> Optional[Tuple[int, int]]:
    """`(start, end)` of the single range that the header asks for; None when it asks for none that we understand."""
    match = _RANGE.match(header or "")
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if first == "":
        return max(0, size_bytes - int(last)), size_bytes
    start, end = int(first), min(int(last) + 1 if last else size_bytes, size_bytes)
    if start >= size_bytes or end <= start:
        raise Unsatisfiable
    return start, end


@dataclasses.dataclass
class Body:
    """The bytes `[start, end)` of a file on their way through one connection."""

    location: Path
    path: str
    start: int
    end: int
    replaced: bool
    faults: FaultSet
    stopping: threading.Event
    count: Callable[[int], None]

    def send(self, connection: socket.socket) -> None:
        """Send all of it. Raises ConnectionCut when a fault ended it."""
        found = {kind: self.faults.find(kind, self.path) for kind in ON_THE_WAY}
        active = {kind: fault for kind, fault in found.items() if fault is not None}
        if self.replaced or active or isinstance(connection, ssl.SSLSocket):
            self._send_faulty(connection, active)
        else:
            self._send_quick(connection)

    def compressed(self) -> bytes:
        """All of it, gzip-compressed."""
        return gzip.compress(b"".join(self._blocks(None)), compresslevel=1)

    def _send_quick(self, connection: socket.socket) -> None:
        with self.location.open("rb") as stream:
            offset = self.start
            while offset < self.end:
                sent = os.sendfile(connection.fileno(), stream.fileno(), offset, min(SENDFILE_BYTES, self.end - offset))
                if sent == 0:
                    raise ConnectionCut("the file became shorter")
                self.count(sent)
                offset += sent

    def _send_faulty(self, connection: socket.socket, active: Mapping[str, ActiveFault]) -> None:
        keep_bytes = self._keep_bytes(active.get("truncate"))
        began, sent = time.monotonic(), 0
        for block in self._blocks(active.get("flip")):
            part = block[: keep_bytes - sent]
            connection.sendall(part)
            self.count(len(part))
            sent += len(part)
            if "replace" in active:
                active["replace"].after(len(part))
            if sent >= keep_bytes and keep_bytes < self.end - self.start:
                raise ConnectionCut("truncated")
            self._disturb(connection, active, len(part), unsent_bytes=keep_bytes - sent)
            if "slow" in active:
                due = began + sent / active["slow"].fault.bytes_per_second
                self.stopping.wait(max(0.0, due - time.monotonic()))

    def _keep_bytes(self, truncate: Optional[ActiveFault]) -> int:
        whole = self.end - self.start
        if truncate is None or not truncate.act():
            return whole
        wanted = truncate.fault.after_bytes
        return whole // 2 if wanted is None else min(wanted, whole)

    def _disturb(
        self, connection: socket.socket, active: Mapping[str, ActiveFault], count: int, *, unsent_bytes: int
    ) -> None:
        reset, stall = active.get("reset"), active.get("stall")
        if reset is not None and reset.after(count, periodic=True) and reset.act():
            reset_connection(connection)
            raise ConnectionCut("reset")
        due = stall is not None and stall.after(count) and unsent_bytes > 0 and stall.act()
        if stall is not None and due and self.stopping.wait(stall.fault.seconds):
            raise ConnectionCut("stopped")

    def _blocks(self, flip: Optional[ActiveFault]) -> Iterator[bytes]:
        with self.location.open("rb") as stream:
            stream.seek(self.start)
            offset = self.start
            while offset < self.end:
                block = stream.read(min(FAULTY_BLOCK_BYTES, self.end - offset))
                if not block:
                    raise ConnectionCut("the file became shorter")
                if self.replaced:
                    block = block.translate(_REPLACED)
                if flip is not None and offset <= flip.fault.offset < offset + len(block) and flip.act():
                    at = flip.fault.offset - offset
                    block = block[:at] + bytes([block[at] ^ 1]) + block[at + 1 :]
                yield block
                offset += len(block)


def reset_connection(connection: socket.socket) -> None:
    """End the connection with RST, as a middlebox does, not with FIN."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(connection.detach())
