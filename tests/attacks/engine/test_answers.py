# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What answers on an engine's port is hostile: it sends without end, byte by byte, or what no engine says."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine import generation
from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.generation import Question
from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import parse_name
from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama
from ansible_collections.gguf.fleet.plugins.module_utils._gpu import nvidia_smi
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import api_import, loading
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._verify.check import Wanted, check

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BODY = HEAD + b"Connection: close\r\n\r\n"
# Where the bug is a wait for ever, or memory without end. Far above what a busy machine needs.
SECONDS = 20.0
SENT_AT_MOST = 128 * 2**20


class Hostile:
    """A server on loopback that sends its pieces to whoever asks, until it is hung up on."""

    def __init__(self, pieces: Callable[[], Iterator[bytes]]) -> None:
        self._pieces = pieces
        self.sent = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        self._open = True
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while self._open:
            with contextlib.suppress(OSError):
                client, _address = self._listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            client.recv(65536)
            for piece in self._pieces():
                if not self._open:
                    return
                client.sendall(piece)
                self.sent += len(piece)

    def close(self) -> None:
        self._open = False
        self._listener.close()


def slowly(head: bytes, rest: bytes) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        yield head
        while True:
            yield rest
            time.sleep(0.2)

    return pieces


def endless(head: bytes, rest: bytes) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        yield head
        while True:
            yield rest * (2**16 // len(rest))

    return pieces


def once(*parts: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter(parts)


WITHOUT_END = {
    "status line byte by byte": slowly(b"", b"H"),
    "headers byte by byte": slowly(HEAD, b"X"),
    "continue for ever": slowly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "continue at full speed": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers without end": endless(HEAD, b"X-More: yes\r\n"),
    "body byte by byte": slowly(BODY, b" "),
    "body without end": endless(BODY, b"A"),
    "lines without end": endless(BODY, b'{"status":"copying"}\n'),
    "events without end": endless(BODY, b'data: {"choices":[{"delta":{"content":"A"}}]}\n\n'),
    "turns without end": endless(BODY, b'{"message":{"content":"A"}}\n'),
    "chunks byte by byte": slowly(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "trailers without end": endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-More: yes\r\n"),
    "silence": slowly(b"", b""),
}


def faults_of(ask: Callable[[str], object]) -> dict[str, str]:
    """What is wrong with how it meets each server that never ends: no error of ours, late, or after taking too much."""
    servers = {kind: Hostile(pieces) for kind, pieces in WITHOUT_END.items()}
    faults = dict.fromkeys(servers, f"not given up within {SECONDS:.0f} s")

    def one(kind: str) -> None:
        try:
            ask(servers[kind].url)
            faults[kind] = "taken for an answer"
        except Problem:
            del faults[kind]
        except Exception as error:
            faults[kind] = repr(error)

    threads = [threading.Thread(target=one, args=(kind,), daemon=True) for kind in servers]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + SECONDS
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    for kind, server in servers.items():
        server.close()
        if server.sent > SENT_AT_MOST:
            faults.setdefault(kind, f"{server.sent} bytes were taken")
    return faults


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.version(),
        lambda client: client.create({"model": "m"}, stall_seconds=0.5),
        lambda client: client.load("m", 1, keep_alive=0),
    ],
    ids=["version", "create", "load"],
)
def test_an_ollama_that_never_ends_is_given_up(ask: Any) -> None:
    assert faults_of(lambda url: ask(Ollama.at(url, stall_seconds=1))) == {}


@pytest.mark.parametrize("api", ["openai", "ollama"])
def test_an_answer_that_never_ends_is_given_up(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "_SECONDS_A_TOKEN", 0.1, raising=False)
    question = Question("Hello?", 8, api)
    assert (
        faults_of(lambda url: generation.generate(Endpoint(url, silence_seconds=1), "m", question, wait_seconds=1))
        == {}
    )


@pytest.mark.parametrize("engine", ["ollama", "llama_cpp"])
def test_an_endpoint_that_never_ends_is_given_up(engine: str) -> None:
    wanted = Wanted(engine=engine, model="m", question=Question("Hello?", 8), timeout_seconds=1)
    assert faults_of(lambda url: check(Endpoint(url, silence_seconds=1), wanted)) == {}


STRANGE = [
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"version": ' + b"9" * 1_000_000 + b"}",
    b'{"models": [{"name": 1e999, "size": NaN}]}',
    b'{"models": 5, "data": 5, "version": [], "error": 5}',
    b'{"models": [5, null, {"name": 5}, {"name": "\\ud800", "size": "x", "size_vram": {}, "expires_at": []}]}',
    b'{"data": [5, {"id": 7}], "messages": [5], "details": [], "template": {}, "default_generation_settings": 7}',
    b'{"message": 5, "choices": [5], "usage": 5, "timings": [], "done": true, "eval_count": "x", "eval_duration": []}',
    b'{"message": {"content": 7}, "choices": [{"delta": 7}], "done": true, "eval_count": -1, "eval_duration": 0}',
    b'data: {"choices": {"a": 1}}\n\ndata: [DONE]\n\n',
    b'{"status": {"a": 1}, "error": {"message": [1]}}',
    b"\xff\xfe\x00\x00",
    b"",
]


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found", b"500 Oops", b"503 Loading"])
@pytest.mark.parametrize("body", STRANGE, ids=range(len(STRANGE)))
def test_what_no_engine_says_is_an_error_of_ours_or_nothing(body: bytes, status: bytes) -> None:
    """No answer ends a run with an error of Python, and none is kept that cannot be written as UTF-8."""
    server = Hostile(once(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\n\r\n" + body))
    client = Ollama.at(server.url, stall_seconds=5)
    endpoint = Endpoint(server.url, silence_seconds=5)
    name = parse_name("m")
    asked: list[Callable[[], Any]] = [
        client.version,
        client.models,
        client.residents,
        lambda: client.show("m"),
        lambda: api_import.shown_fields(client.show("m") or {}),
        lambda: client.create({"model": "m"}),
        lambda: api_import.listed(client, name),
        lambda: loading.find_loaded(client, name),
        *(
            lambda engine=engine: check(
                endpoint, Wanted(engine=engine, model="m", question=Question("Hello?", 8), timeout_seconds=1)
            )
            for engine in ("ollama", "llama_cpp")
        ),
        *(
            lambda api=api: generation.generate(endpoint, "m", Question("Hello?", 8, api), wait_seconds=1)
            for api in ("openai", "ollama")
        ),
    ]
    try:
        for ask in asked:
            with contextlib.suppress(Problem):
                json.dumps(ask(), default=vars, ensure_ascii=False).encode()
    finally:
        server.close()


def script(folder: Path, text: str) -> str:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sleep 600", "did not end within 1 s"),
        ("trap '' TERM; while :; do sleep 600; done", "did not end within 1 s"),
        ("while :; do echo 0, GPU-1; done", "wrote more than"),
    ],
)
def test_an_nvidia_smi_that_never_ends_is_told_and_killed(tmp_path: Path, text: str, told: str) -> None:
    started = time.monotonic()
    report = nvidia_smi.read_report(nvidia_smi.runner(script(tmp_path, text), seconds=1))
    assert time.monotonic() - started < SECONDS
    assert report.gpus == () and told in report.troubles[0].problem


@pytest.mark.parametrize(
    "row",
    [
        "\u00b2" + ", x" * 19,
        "9" * 5000 + ", x" * 19,
        "0" + ", inf" * 19,
        "0" + ", nan" * 19,
        "0" + ", 1e999" * 19,
        '0, "' + "A" * 200_000 + '"' + ", 1" * 18,
        "\0" + ", 1" * 19,
    ],
    ids=["no digit", "long", "inf", "nan", "huge", "field", "nul"],
)
def test_what_no_nvidia_smi_prints_does_not_end_a_report(row: str) -> None:
    json.dumps(nvidia_smi.read_report(lambda _arguments: (0, row + "\n", "")).as_facts(), allow_nan=False)
