# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that ask without a pause and never ask again, and what became of each of their requests."""

from __future__ import annotations

import http.client
import json
import random
import select
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """wrong: what is wrong with the answer, empty for a whole one. at: when it ended, on the machine's clock."""

    request: str
    model: str
    wrong: str
    at: float

    @property
    def kind(self) -> str:
        """200, the status of an error, or the kind of exception that came in its place."""
        return self.wrong.partition(":")[0] or "200"


@dataclass
class Storm:
    """trust: the authorities that a client trusts now, in PEM. keys: of the clients by their names; each has several
    connections at once.

    It ends when `stop` is set and `least` requests were sent, or when `most` were. No client sends a request again,
    whatever happened to its connection: an SDK without retries does so.
    """

    host: str
    trust: Callable[[], str]
    keys: Mapping[str, str]
    models: Sequence[str]
    connections: int = 12
    least: int = 3000
    most: int = 9000
    stop: threading.Event = field(default_factory=threading.Event)
    outcomes: list[Outcome] = field(default_factory=list)
    sent: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for number in range(self.connections):
            name = sorted(self.keys)[number % len(self.keys)]
            thread = threading.Thread(target=self._client, args=(number, name), daemon=True)
            self._threads.append(thread)
            thread.start()

    def join(self, seconds: float) -> None:
        self.stop.set()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        assert not any(thread.is_alive() for thread in self._threads), "clients still wait for answers"

    def _next(self) -> Optional[int]:
        with self._lock:
            if self.sent >= self.most or (self.stop.is_set() and self.sent >= self.least):
                return None
            self.sent += 1
            return self.sent

    def _client(self, number: int, name: str) -> None:
        chance = random.Random(number)
        connection: Optional[http.client.HTTPSConnection] = None
        # Some keep their connection, some make one for each request.
        keeps = number % 3 != 0
        while (count := self._next()) is not None:
            if connection is not None and (not keeps or _closed(connection)):
                connection.close()
                connection = None
            if connection is None:
                connection = self._connect()
            # So that some connections are idle whenever HAProxy loads anew.
            time.sleep(chance.uniform(0, 0.2))
            request, model = f"r{count}", chance.choice(self.models)
            body: dict[str, Any] = {"model": model, "user": request, "max_tokens": chance.randint(1, 8), "messages": []}
            body["stream"] = chance.random() < 0.6
            wrong = _ask(connection, self.keys[name], body)
            if wrong:
                connection.close()
                connection = None
            self.outcomes.append(Outcome(request, model, wrong, time.time()))

    def _connect(self) -> http.client.HTTPSConnection:
        tls = ssl.create_default_context(cadata=self.trust())
        return http.client.HTTPSConnection(self.host, 443, timeout=ANSWER_SECONDS, context=tls)


def _closed(connection: http.client.HTTPSConnection) -> bool:
    """Whether the other side closed it meanwhile: what clients with a pool look for before they take one out."""
    sock = connection.sock
    return sock is None or bool(select.select([sock], [], [], 0)[0])


def _ask(connection: http.client.HTTPSConnection, key: str, body: Mapping[str, Any]) -> str:
    """What is wrong with the answer."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    if answer.status != 200:
        return f"{answer.status}: {text}"
    wanted = " ".join(f"{body['model']}:{body['user']}:{number}" for number in range(body["max_tokens"]))
    try:
        got = _streamed(text) if body["stream"] else json.loads(text)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError) as error:
        return f"{type(error).__name__}: {text[-200:]}"
    return "" if got.strip() == wanted else f"cut or another's: {got!r}"


def _streamed(text: str) -> str:
    """Empty where it has no end."""
    events = [line.removeprefix("data: ") for line in text.splitlines() if line]
    if not events or events[-1] != "[DONE]":
        return ""
    return "".join(json.loads(event)["choices"][0]["delta"]["content"] for event in events[:-1])
