# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A llama-server that streams as slowly as it is told, and notes each request that it took and each that it ended.

    engine.py --port 8081 --model alpha [--host 127.0.0.1] [--pace 0.05] [--notes FILE]

A request says in `user` who it is, in `max_tokens` how many tokens it wants, and in `pace` how many seconds apart. Each
token is `MODEL:ID:NUMBER`, and each event has `sent`, the nanoseconds of this machine's monotonic clock when it was
written. The notes are lines of `got`, `end` or `left ID MODEL` (left: the client did), and `header NAME: VALUE` for
each new header.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from typing import Any, Optional

MAX_BODY = 8 << 20


class Engine:
    def __init__(self, model: str, pace: float, notes: str) -> None:
        self.model = model
        self.pace = pace
        self.headers: set[str] = set()
        self.notes: Optional[int] = None
        if notes:
            self.notes = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(self, line: str) -> None:
        if self.notes is not None:
            # One write, so that a kill leaves whole lines.
            os.write(self.notes, f"{line}\n".encode())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays open."""
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _version = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _colon, value in (line.partition(":") for line in lines)}
        body = await _body(reader, headers)
        if method == "GET":
            await _answer(writer, 200 if path == "/health" else 404, {"status": "ok"})
            return True
        for name, value in headers.items():
            if name not in self.headers and name not in ("", "content-length"):
                self.headers.add(name)
                self.note(f"header {name}: {value}")
        asked = json.loads(body or b"{}")
        who = str(asked.get("user", "?"))
        self.note(f"got {who} {asked.get('model')}")
        if asked.get("stream"):
            try:
                await self._stream(writer, asked, who)
            except ConnectionError:
                self.note(f"left {who} {asked.get('model')}")
                raise
        else:
            await asyncio.sleep(float(asked.get("pace", self.pace)) * int(asked.get("max_tokens", 5)))
            text = " ".join(f"{self.model}:{who}:{number}" for number in range(int(asked.get("max_tokens", 5))))
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            await _answer(writer, 200, {"id": who, "object": "chat.completion", "created": 0, "choices": [choice]})
        self.note(f"end {who} {asked.get('model')}")
        return True

    async def _stream(self, writer: asyncio.StreamWriter, asked: dict[str, Any], who: str) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        pace, tokens = float(asked.get("pace", self.pace)), int(asked.get("max_tokens", 5))
        due = time.monotonic()
        for number in range(tokens):
            delta = {"role": "assistant", "content": f"{self.model}:{who}:{number} "}
            last = number == tokens - 1
            choice = {"index": 0, "delta": delta, "finish_reason": "stop" if last else None}
            event = {
                "id": who,
                "object": "chat.completion.chunk",
                "created": 0,
                "model": self.model,
                "choices": [choice],
                "sent": time.monotonic_ns(),
            }
            _chunk(writer, f"data: {json.dumps(event)}\n\n".encode())
            await writer.drain()
            due += pace
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        _chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(min(MAX_BODY, int(headers.get("content-length") or 0)))
    whole = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        whole += await reader.readexactly(min(MAX_BODY, size))
        await reader.readline()
    await reader.readline()
    return whole


async def _answer(writer: asyncio.StreamWriter, status: int, content: Any) -> None:
    data = json.dumps(content).encode()
    head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    await writer.drain()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--pace", type=float, default=0.05)
    parser.add_argument("--notes", default="")
    given = parser.parse_args()
    engine = Engine(given.model, given.pace, given.notes)
    server = await asyncio.start_server(engine.serve, given.host, given.port, backlog=512)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
