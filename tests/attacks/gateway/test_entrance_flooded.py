# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Much at once, or slowly, from strangers and clients: it ends as it should, and who may ask is served meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.builders.engines import Engine, serving
from ansible_collections.gguf.fleet.tests.builders.gateway import SECONDS, Gateway, llama_cpp_host, running
from ansible_collections.gguf.fleet.tests.fixtures_assets import image

pytestmark = [pytest.mark.docker, pytest.mark.long]
MAX_BYTES = 2**18
MB = 10**6


@dataclass
class Fleet:
    gateway: Gateway
    tiny: Engine

    def memory_bytes(self) -> int:
        """Of the process that works."""
        told = self.gateway.command("show info").splitlines()
        process = next(line.split()[1] for line in told if line.startswith("Pid:"))
        # The container has namespaces of its own for processes, so it is asked there.
        container = self.gateway.container
        return int(_in_container(container, f"grep VmRSS /proc/{process}/status").split()[1]) * 1024


def _in_container(container: str, script: str) -> str:
    command = ["docker", "exec", container, "sh", "-c", script]
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout


@pytest.fixture(scope="module", params=["gateway", "forky"])
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    with (
        serving(name="tiny") as tiny,
        running(
            folder,
            {"a": llama_cpp_host(tiny, slots=4)},
            image=image(request.param),
            clients=[{"name": "full"}],
            max_body_bytes=MAX_BYTES,
        ) as gateway,
    ):
        yield Fleet(gateway, tiny)


@pytest.fixture
def fleet(started: Fleet) -> Fleet:
    started.tiny.seen.clear()
    started.tiny.pause_seconds = 0.0
    started.tiny.chunks = 5
    return started


def ended_after(connection: socket.socket, drip: bytes, seconds: float) -> float:
    """After how many seconds the other side answers or closes a connection on which this comes, a byte a second."""
    begun = time.monotonic()
    connection.settimeout(1)
    position = 0
    while time.monotonic() - begun < seconds:
        with contextlib.suppress(TimeoutError):
            try:
                if position < len(drip):
                    connection.send(drip[position : position + 1])
                    position += 1
                connection.recv(65536)
                break
            except (ssl.SSLError, ConnectionError) as error:
                if isinstance(error, ssl.SSLWantReadError):
                    continue
                break
    return time.monotonic() - begun


def test_connections_that_say_little_are_closed_and_a_client_is_served_meanwhile(fleet: Fleet) -> None:
    """No handshake, nothing after it, a header that comes a byte a second."""
    most, count = 75.0, 70
    header = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".ljust(900, b"x")
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(3 * count) as pool:
        waiting = []
        for _number in range(count):
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", fleet.gateway.port), SECONDS))
            waiting.append(pool.submit(ended_after, silent, b"", most))
            for drip in (b"", header):
                waiting.append(pool.submit(ended_after, stack.enter_context(fleet.gateway.connection()), drip, most))
        for _number in range(5):
            assert fleet.gateway.chat("tiny").status == 200
        took = [one.result() for one in waiting]
    assert max(took) < most, Counter(round(seconds) for seconds in took)


def test_a_body_that_comes_a_byte_a_second_is_given_up_and_no_engine_waits_for_it(fleet: Fleet) -> None:
    key = fleet.gateway.keys["full"]
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    with fleet.gateway.connection() as connection:
        connection.sendall(f"{head}Content-Length: 200000\r\n\r\n".encode())
        assert ended_after(connection, b"x" * 900, 120) < 110
    assert fleet.tiny.asked == []


def test_an_engine_that_thinks_longer_than_a_client_may_be_silent_is_waited_for(fleet: Fleet) -> None:
    # Before it answers, or between a token and the end of the stream.
    fleet.tiny.chunks, fleet.tiny.pause_seconds = 1, 70.0
    url = f"https://localhost:{fleet.gateway.port}/v1/chat/completions"
    command = ["curl", "-sS", "--max-time", "200", "--config", "-", "--cacert", f"{fleet.gateway.folder}/ca.pem", url]

    def curl(version: str, stream: bool) -> str:
        body = json.dumps({"model": "tiny", "stream": stream, "messages": []}).replace(" ", "")
        header = f'header = "Authorization: Bearer {fleet.gateway.keys["full"]}"\n'
        done = subprocess.run(
            [*command, version, "--json", body], input=header, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with ThreadPoolExecutor(4) as pool:
        versions = ("--http1.1", "--http2")
        streamed = [pool.submit(curl, version, True) for version in versions]
        whole = [pool.submit(curl, version, False) for version in versions]
    assert [one.result().count("data: ") for one in streamed] == [1, 1]
    assert [json.loads(one.result())["model"] for one in whole] == ["tiny", "tiny"]


@pytest.mark.parametrize("client", ["full", None], ids=["a client", "a stranger"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_bodies_of_100_mb_are_refused_and_held_nowhere(fleet: Fleet, client: str | None, chunked: bool) -> None:
    before = fleet.memory_bytes()
    block = b"x" * MB
    most = 0

    def send(_number: int) -> int:
        headers = {} if chunked else {"Content_Length": str(100 * MB)}
        pieces = (block for _piece in range(100))
        return fleet.gateway.ask("POST", "/v1/chat/completions", pieces, client, **headers).status

    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.2):
            most = max(most, fleet.memory_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(send, range(16)))
    finally:
        over.set()
        watcher.join()
    # 0: the connection was closed while the client still sent.
    assert set(statuses) <= {0, 413 if client else 401}
    assert fleet.tiny.asked == []
    # Two buffers a connection are the most.
    assert most - before < 8 * 2 * (MAX_BYTES + 2**17) + 32 * MB
    assert fleet.gateway.chat("tiny").status == 200


def test_ten_thousand_wrong_keys_open_nothing_and_a_client_is_served_meanwhile(fleet: Fleet) -> None:
    before = fleet.memory_bytes()
    served: list[int] = []
    over = threading.Event()

    def client() -> None:
        while not over.wait(0.2):
            served.append(fleet.gateway.chat("tiny").status)

    def guess(number: int) -> Counter[int]:
        found: Counter[int] = Counter()
        connection = http.client.HTTPSConnection("localhost", fleet.gateway.port, timeout=60, context=fleet.gateway.tls)
        for count in range(1250):
            key = f"guess-{number}-{count}-".ljust(40, "g")
            body = b'{"model":"tiny","messages":[]}'
            connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            answer.read()
            found[answer.status] += 1
        connection.close()
        return found

    beside = threading.Thread(target=client)
    beside.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            total = sum(pool.map(guess, range(8)), Counter())
    finally:
        over.set()
        beside.join()
    assert total == {401: 10_000}
    assert set(served) == {200}
    assert len(fleet.tiny.asked) == len(served)
    assert fleet.memory_bytes() - before < 32 * MB
    assert "guess-" not in fleet.gateway.log()


INNER = b"POST /api/pull HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}"
FIRST = b'{"model":"tiny"}'
HTTP2: dict[str, tuple[list[tuple[bytes, bytes]], bytes]] = {
    "a length that is too short": ([(b"content-length", b"4")], FIRST + INNER),
    "a length of nothing": ([(b"content-length", b"0")], FIRST + INNER),
    "two lengths": ([(b"content-length", b"16"), (b"content-length", b"4")], FIRST + INNER),
    "chunks inside": ([(b"transfer-encoding", b"chunked")], b"10\r\n" + FIRST + b"\r\n0\r\n\r\n" + INNER),
    "an end of line in a value": ([(b"x", b"y\r\nTransfer-Encoding: chunked")], b"0\r\n\r\n" + INNER),
    "an end of line in a name": ([(b"x: y\r\ncontent-length: 0\r\nz", b"z")], FIRST + INNER),
    "a connection header": ([(b"connection", b"content-length")], FIRST + INNER),
    "a request line in the path": ([(b":path", b"/v1/completions HTTP/1.1\r\nHost: a\r\n\r\n" + INNER)], FIRST),
    "a second path": ([(b":path", b"/api/pull")], FIRST),
    "a path with a blank": ([(b":path", b"/api/pull HTTP/1.1")], FIRST),
    "a method with a request": ([(b":method", b"POST /api/pull HTTP/1.1\r\nX:")], FIRST),
    "capital letters": ([(b"Content-Length", b"4")], FIRST + INNER),
}


@pytest.mark.parametrize("name", HTTP2)
def test_no_request_is_smuggled_by_http_2(fleet: Fleet, name: str) -> None:
    more, body = HTTP2[name]
    key = fleet.gateway.keys["full"].encode()
    headers = {
        b":method": b"POST",
        b":scheme": b"https",
        b":path": b"/v1/chat/completions",
        b":authority": b"localhost",
    }
    pairs = [*headers.items(), (b"authorization", b"Bearer " + key), *more]
    if more[0][0] in headers and name != "a second path":
        pairs = [*((field, dict(more).get(field, value)) for field, value in headers.items()), pairs[4]]
    tls = fleet.gateway.tls
    tls.set_alpn_protocols(["h2"])
    plain = socket.create_connection(("127.0.0.1", fleet.gateway.port), SECONDS)
    with tls.wrap_socket(plain, server_hostname="localhost") as connection:
        assert connection.selected_alpn_protocol() == "h2"
        block = b"".join(b"\x00" + _word(field) + _word(value) for field, value in pairs)
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b""))
        connection.sendall(_frame(1, 4, 1, block) + _frame(0, 1, 1, body))
        connection.settimeout(2)
        with contextlib.suppress(TimeoutError, ssl.SSLError, ConnectionError):
            while connection.recv(65536):
                pass
    seen = [(one.path, one.body) for one in fleet.tiny.asked]
    assert {path for path, _body in seen} <= {"/v1/chat/completions", "/v1/completions"}
    assert len(seen) <= 1, seen


def _word(text: bytes) -> bytes:
    """A string of HPACK, as it is, of up to 253 bytes."""
    length = bytes([len(text)]) if len(text) < 127 else bytes([127, len(text) - 127])
    return length + text


def _frame(kind: int, flags: int, stream: int, data: bytes) -> bytes:
    return len(data).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + data
