# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coverage-guided fuzzing of what Ollama and llama-server answer: any bytes are facts or a plain refusal.

The bytes are the body of the answer to every question of a run, and the whole answer to two of them.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any, Callable

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

with atheris.instrument_imports(include=["ansible_collections.gguf.fleet"]):
    from ansible_collections.gguf.fleet.plugins.module_utils._engine import llama_server
    from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
    from ansible_collections.gguf.fleet.plugins.module_utils._engine.generation import Question, generate
    from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import parse_name
    from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama
    from ansible_collections.gguf.fleet.plugins.module_utils._http.deadline import Connection
    from ansible_collections.gguf.fleet.plugins.module_utils._ollama import api_import, loading
    from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
    from ansible_collections.gguf.fleet.plugins.module_utils._text import has_control
    from ansible_collections.gguf.fleet.plugins.module_utils._verify.check import Wanted, check

MAX_SECONDS = 5
llama_server._POLL_SECONDS = 0.0
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
URL = "http://127.0.0.1:1"
NAME = parse_name("m")


def one_input(data: bytes) -> None:
    started = process_time()
    for ask in QUESTIONS:
        with answering(HEAD + data):
            check_answer(ask)
    for ask in QUESTIONS[0], QUESTIONS[-1]:
        with answering(data):
            check_answer(ask)
    seconds = process_time() - started
    if seconds > MAX_SECONDS:
        raise AssertionError(f"{len(data)} bytes took {seconds:.1f} s")


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[None]:
    """Every connection gets this answer, which is there at once, and then its end."""
    other_ends: list[socket.socket] = []

    def connect(connection: Connection) -> None:
        connection.sock, theirs = socket.socketpair()
        theirs.sendall(answer[:65536])
        theirs.shutdown(socket.SHUT_WR)
        other_ends.append(theirs)

    honest = Connection.connect
    Connection.connect = connect  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Connection.connect = honest  # type: ignore[method-assign]
        for theirs in other_ends:
            theirs.close()


def check_answer(ask: Callable[[], Any]) -> None:
    try:
        told = ask()
    except Problem as problem:
        assert problem.problem and problem.remedy
        assert not has_control(failure(problem)["msg"].replace("\n", "").replace("\t", ""))
        return
    # facts travel as JSON in UTF-8
    json.dumps(told, default=vars, allow_nan=False, ensure_ascii=False).encode()


def _verified(engine: str) -> Any:
    wanted = Wanted(engine=engine, model="m", question=Question("Hello?", 4), timeout_seconds=0.01)
    return check(Endpoint(URL, silence_seconds=1), wanted)


def _generated(api: str) -> Any:
    generation = generate(Endpoint(URL, silence_seconds=1), "m", Question("Hello?", 4, api), wait_seconds=1)
    assert not has_control((generation.answer + generation.reasoning).replace("\n", "").replace("\t", ""))
    return generation


CLIENT = Ollama.at(URL, stall_seconds=1)
QUESTIONS: list[Callable[[], Any]] = [
    CLIENT.version,
    CLIENT.models,
    lambda: api_import.shown_fields(CLIENT.show("m") or {}),
    lambda: CLIENT.create({"model": "m"}),
    lambda: api_import.listed(CLIENT, NAME),
    lambda: loading.find_loaded(CLIENT, NAME),
    lambda: _verified("ollama"),
    lambda: _verified("llama_cpp"),
    lambda: _generated("openai"),
    lambda: _generated("ollama"),
]

with answering(HEAD + b'{"version": "0.33.2"}'):
    # or nothing below is fuzzed
    assert CLIENT.version() == "0.33.2"


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
