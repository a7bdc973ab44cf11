# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client of a gateway or a stranger could try: real HAProxy, our configuration, engines that note all."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gateway import live
from ansible_collections.gguf.fleet.tests.builders.engines import Engine, serving
from ansible_collections.gguf.fleet.tests.builders.gateway import Gateway, llama_cpp_host, ollama_host, running
from ansible_collections.gguf.fleet.tests.fixtures_assets import image

pytestmark = pytest.mark.docker
MAX_BYTES = 2**18
ORIGIN = "https://chat.example.com"
CLIENTS = [
    {"name": "full", "native_api": True},
    {"name": "guest", "models": ["tiny"]},
    {"name": "plain"},
    {"name": "two", "requests_at_once": 2},
    {"name": "three", "requests_per_minute": 3},
]


@dataclass
class Fleet:
    """r1 and r2 in the store of one Ollama, tiny and large each on a llama-server of its own."""

    gateway: Gateway
    ollama: Engine
    tiny: Engine
    large: Engine

    @property
    def engines(self) -> tuple[Engine, ...]:
        return (self.ollama, self.tiny, self.large)

    def asked(self) -> list[tuple[str, Optional[str]]]:
        """Path and model of what came through, in all engines; forgotten then."""
        found = [(one.path, one.model) for engine in self.engines for one in engine.asked]
        for engine in self.engines:
            engine.seen.clear()
        return found


@pytest.fixture(
    scope="module", params=["gateway", *(pytest.param(later, marks=pytest.mark.long) for later in ("trixie", "forky"))]
)
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """With the HAProxy of Debian 12, of Debian 13, and of forky."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    with serving("r1", "r2") as ollama, serving(name="tiny") as tiny, serving(name="large") as large:
        hosts = {"a": ollama_host(ollama, slots=4), "b": llama_cpp_host(tiny, large, slots=4)}
        settings = {"clients": CLIENTS, "origins": [ORIGIN], "max_body_bytes": MAX_BYTES}
        with running(folder, hosts, image=image(request.param), **settings) as gateway:
            yield Fleet(gateway, ollama, tiny, large)


@pytest.fixture
def fleet(started: Fleet) -> Fleet:
    for engine in started.engines:
        engine.seen.clear()
        engine.pause_seconds = 0.0
    return started


def test_a_name_reaches_the_engine_that_serves_it_however_it_is_written(fleet: Fleet) -> None:
    for name in ("r1", "R1", "r1:latest", "tiny", "TINY:latest"):
        assert fleet.gateway.chat(name).status == 200, name
    assert fleet.ollama.asked[0].headers["host"] == "127.0.0.1"
    assert len(fleet.ollama.asked) == 3
    assert len(fleet.tiny.asked) == 2
    assert fleet.large.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic KEY"},
        {"x_api_key": "wrong"},
        {"Cookie": "key=KEY"},
        {"Authorization": "Bearer KEYx"},
        {"Authorization": "Bearer xKEY"},
    ],
    ids=str,
)
def test_a_stranger_gets_401_and_nothing_reaches_an_engine(fleet: Fleet, headers: dict[str, str]) -> None:
    key = fleet.gateway.keys["full"]
    given = {name: value.replace("KEY", key) for name, value in headers.items()}
    for method, path in (("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("POST", "/api/pull"), ("GET", "/")):
        answer = fleet.gateway.ask(method, f"{path}?key={key}", b'{"model":"r1"}', None, **given)
        assert answer.status == 401
        assert answer.json["error"]["code"] == "invalid_api_key"
    assert fleet.asked() == []


def test_the_key_is_taken_from_either_header_and_does_not_go_on_to_the_engine(fleet: Fleet) -> None:
    key = fleet.gateway.keys["plain"]
    for headers in ({"Authorization": f"Bearer {key}"}, {"Authorization": f"bearer {key}"}, {"x_api_key": key}):
        assert fleet.gateway.ask("POST", "/v1/messages", {"model": "r1"}, None, **headers).status == 200
    seen = [one.headers for one in fleet.ollama.asked]
    assert len(seen) == 3
    assert not any(key in str(headers) for headers in seen)


CHANGING = [
    ("DELETE", "/api/delete"),
    *(
        ("POST", f"/api/{name}")
        for name in ("pull", "push", "create", "copy", "delete", "blobs/sha256:0", "embed", "me")
    ),
    *(
        ("POST", path)
        for path in ("/slots/0?action=erase", "/props", "/lora-adapters", "/models/load", "/models/unload")
    ),
    *(("GET", path) for path in ("/slots", "/metrics", "/props", "/api/ps", "/", "/v1/models/r1", "/health")),
    *(
        ("POST", path)
        for path in ("//v1/chat/completions", "/v1/chat/completions/", "/V1/chat/completions", "/v1//completions")
    ),
    *(
        ("POST", path)
        for path in ("/v1/../api/pull", "/v1/chat/completions/../../../api/pull", "/api/%63hat", "/api/chat;x")
    ),
    *(
        ("POST", path)
        for path in ("/v1/chat/completions/control", "/v1/chat/completions%2f..%2f..%2fapi/pull", "/api/chat%00")
    ),
    ("GET", "/v1/chat/completions"),
    ("PUT", "/v1/chat/completions"),
    ("TRACE", "/v1/chat/completions"),
]


@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_a_path_that_is_not_in_the_table_is_refused_for_all(fleet: Fleet, method: str, path: str) -> None:
    answer = fleet.gateway.ask(method, path, b'{"model":"r1"}')
    assert answer.status in (400, 403, 405), answer
    assert fleet.asked() == []


def test_what_stands_behind_the_path_does_not_go_on(fleet: Fleet) -> None:
    assert fleet.gateway.ask("POST", "/v1/chat/completions?model=r2&slot=1", {"model": "r1"}).status == 200
    assert fleet.asked() == [("/v1/chat/completions", "r1")]


def test_ollamas_own_api_is_for_those_who_were_trusted_with_it_and_not_for_llama_cpp(fleet: Fleet) -> None:
    gateway = fleet.gateway
    for path in ("/api/chat", "/api/generate", "/api/show"):
        assert gateway.ask("POST", path, {"model": "r1"}, "plain").status == 403
        assert gateway.ask("POST", path, {"model": "r1"}, "full").status == 200
        answer = gateway.ask("POST", path, {"model": "tiny"}, "full")
        assert answer.status == 404
        assert "/v1/" in answer.json["error"]["message"]
    assert {model for _path, model in fleet.asked()} == {"r1"}


TWICE: list[tuple[str, bytes]] = [
    ("twice", b'{"model":"tiny","model":"large"}'),
    ("twice, the other way", b'{"model":"large","model":"tiny"}'),
    ("in another case", b'{"model":"tiny","Model":"large","MODEL":"r1"}'),
    ("in another case first", b'{"Model":"large","model":"tiny"}'),
    ("escaped", b'{"model":"tiny","mod\\u0065l":"large"}'),
    ("escaped first", b'{"mod\\u0065l":"large","model":"tiny"}'),
    ("an escaped value", b'{"model":"l\\u0061rge"}'),
    ("below", b'{"x":{"model":"large"},"model":"tiny"}'),
    ("a byte order mark", b'\xef\xbb\xbf{"model":"large"}'),
    ("behind much", b'{"messages":"' + b"x" * (MAX_BYTES - 100) + b'","model":"large"}'),
    ("behind the buffer", b'{"model":"tiny","messages":"' + b"x" * (4 * MAX_BYTES) + b'","model":"large"}'),
    ("nested deep", b'{"a":' + b"[" * 40 + b"]" * 40 + b',"model":"large"}'),
    ("a list", b'["model","large"]'),
    ("not text", b'{"model":["large"]}'),
    ("with a null", b'{"model":"large\\u0000"}'),
    ("other blanks", b'{\t"model"\n:\r"large" }'),
]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("body", [body for _name, body in TWICE], ids=[name for name, _body in TWICE])
def test_a_client_with_some_models_reaches_no_other_whatever_its_body_says(
    fleet: Fleet, body: bytes, chunked: bool
) -> None:
    sent: Any = iter([body[: len(body) // 2], body[len(body) // 2 :]]) if chunked else body
    answer = fleet.gateway.ask("POST", "/v1/chat/completions", sent, "guest")
    assert answer.status in (200, 404, 413) or len(body) > MAX_BYTES, answer
    assert fleet.large.asked == []
    assert fleet.ollama.asked == []
    assert (answer.status == 200) == bool(fleet.tiny.asked)


def test_a_name_that_nobody_serves_and_one_that_is_not_for_the_client_look_alike(fleet: Fleet) -> None:
    missing, closed = (fleet.gateway.chat(name, "guest") for name in ("missing", "large"))
    assert (missing.status, closed.status) == (404, 404)
    assert missing.body.replace(b"missing", b"NAME") == closed.body.replace(b"large", b"NAME")
    assert missing.json["error"]["code"] == "model_not_found"


def test_a_name_comes_back_in_an_error_as_text_alone(fleet: Fleet) -> None:
    name = 'x"},"y":{"\r\nSet-Cookie: a=b\r\n\r\n<script>%[var(txn.client)]'
    answer = fleet.gateway.chat(name)
    assert answer.status == 404
    assert "<script>" in answer.json["error"]["message"]
    assert set(answer.json) == {"error"}
    assert "set-cookie" not in answer.headers


def test_lists_show_what_the_client_may_use(fleet: Fleet) -> None:
    gateway = fleet.gateway
    assert [one["id"] for one in gateway.ask("GET", "/v1/models").json["data"]] == ["large", "r1", "r2", "tiny"]
    assert [one["id"] for one in gateway.ask("GET", "/v1/models", client="guest").json["data"]] == ["tiny"]
    assert [one["name"] for one in gateway.ask("GET", "/api/tags", client="guest").json["models"]] == ["tiny:latest"]
    assert gateway.ask("GET", "/api/version").json["version"]
    assert fleet.asked() == []


def smuggled(fleet: Fleet, head: str, body: bytes) -> bytes:
    key = fleet.gateway.keys["guest"]
    start = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    return fleet.gateway.raw(start.encode() + head.encode() + b"\r\n" + body)


def test_a_long_body_is_refused_with_413_whether_its_length_is_told_or_not(fleet: Fleet) -> None:
    told = smuggled(fleet, f"Content-Length: {MAX_BYTES + 1}\r\n", b"")
    assert told.startswith(b"HTTP/1.1 413 ")
    body = b'{"model":"tiny","messages":"' + b"x" * MAX_BYTES + b'"}'
    assert fleet.gateway.ask("POST", "/v1/completions", iter([body])).status == 413
    assert fleet.gateway.ask("POST", "/v1/completions", iter([body] * 40)).status in (413, 0)
    small = json.dumps({"messages": "x" * (MAX_BYTES - 200), "model": "tiny"}).encode()
    assert fleet.gateway.ask("POST", "/v1/completions", small).status == 200
    pieces = iter([small[begin : begin + 99] for begin in range(0, len(small), 99)])
    assert fleet.gateway.ask("POST", "/v1/completions", pieces).status == 200
    assert [model for _path, model in fleet.asked()] == ["tiny", "tiny"]


def test_a_compressed_body_is_told_to_be_unreadable(fleet: Fleet) -> None:
    answer = fleet.gateway.ask("POST", "/v1/completions", gzip.compress(b'{"model":"r1"}'), Content_Encoding="gzip")
    assert answer.status == 404
    assert "not compressed" in answer.json["error"]["message"]


def test_limits_of_a_client_are_kept_and_say_when_to_come_back(fleet: Fleet) -> None:
    fleet.tiny.pause_seconds = 1.0
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda _number: fleet.gateway.chat("tiny", "two"), range(6)))
    assert sorted(answer.status for answer in got).count(429) >= 2
    assert fleet.tiny.most_at_once <= 2
    fleet.tiny.pause_seconds = 0.0
    minute = [fleet.gateway.chat("tiny", "three") for _number in range(5)]
    assert [answer.status for answer in minute] == [200, 200, 200, 429, 429]
    assert (minute[-1].headers["retry-after"], minute[-1].json["error"]["type"]) == ("60", "rate_limit_error")
    assert fleet.gateway.chat("tiny", "plain").status == 200


def test_a_model_without_a_ready_instance_is_said_in_openais_shape_with_when_to_come_back(fleet: Fleet) -> None:
    def until(status: int) -> Any:
        end = time.monotonic() + 30
        while (answer := fleet.gateway.chat("large")).status != status:
            assert time.monotonic() < end, answer
            time.sleep(0.2)
        return answer

    fleet.large.ready = False
    try:
        answer = until(503)
        assert answer.headers["retry-after"] == "10"
        assert "none is ready" in answer.json["error"]["message"]
        # Others are answered meanwhile.
        assert fleet.gateway.chat("tiny").status == 200
    finally:
        fleet.large.ready = True
        until(200)


INNER = b"POST /api/pull HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 14\r\n\r\n" + b'{"model":"r1"}'
FIRST = b'{"model":"tiny"}'


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (
            f"Content-Length: {len(FIRST)}\r\nTransfer-Encoding: chunked\r\n",
            b"10\r\n" + FIRST + b"\r\n0\r\n\r\n" + INNER,
        ),
        ("Content-Length: 4\r\nContent-Length: 16\r\n", FIRST + INNER),
        ("Content-Length: 16, 4\r\n", FIRST + INNER),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"10\r\n" + FIRST + b"\r\n0\r\n\r\n" + INNER),
        ("Transfer-Encoding: xchunked\r\n", b"10\r\n" + FIRST + b"\r\n0\r\n\r\n" + INNER),
        ("Transfer-Encoding : chunked\r\n", b"10\r\n" + FIRST + b"\r\n0\r\n\r\n" + INNER),
        ("Transfer-Encoding:\x0bchunked\r\n", b"10\r\n" + FIRST + b"\r\n0\r\n\r\n" + INNER),
        ("Content-Length: +16\r\n", FIRST + INNER),
        ("Content-Length: 0x10\r\n", FIRST + INNER),
        ("X: y\r\n Content-Length: 16\r\n", FIRST + INNER),
        (
            "Content-Length: 16\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAA\r\n",
            FIRST + INNER,
        ),
    ],
)
def test_no_request_is_smuggled_behind_another_one(fleet: Fleet, head: str, body: bytes) -> None:
    smuggled(fleet, head, body)
    paths = {path for path, _model in fleet.asked()}
    assert paths <= {"/v1/chat/completions"}


def test_pages_of_listed_origins_may_ask_and_an_engines_word_on_it_does_not_count(fleet: Fleet) -> None:
    gateway, path = fleet.gateway, "/v1/chat/completions"
    wants: dict[str, Any] = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization"}
    allowed = "access-control-allow-origin"
    before = gateway.ask("OPTIONS", path, client=None, Origin=ORIGIN, **wants)
    assert (before.status, before.headers[allowed]) == (204, ORIGIN)
    assert before.headers["access-control-allow-headers"] == "authorization"
    other = gateway.ask("OPTIONS", path, client=None, Origin="https://evil.example.com", **wants)
    assert (other.status, other.headers.get(allowed)) == (401, None)
    for name, expected in ((ORIGIN, ORIGIN), ("https://evil.example.com", None), ("null", None)):
        for asked in ({"model": "r1"}, {"model": "missing"}):
            assert gateway.ask("POST", path, asked, Origin=name).headers.get(allowed) == expected
        assert gateway.ask("POST", path, {}, None, Origin=name).headers.get(allowed) == expected
    assert "origin" not in fleet.ollama.asked[0].headers


def test_a_stream_comes_piece_by_piece_and_an_abort_reaches_the_engine(fleet: Fleet) -> None:
    key, body = fleet.gateway.keys["full"], b'{"model":"tiny","stream":true}'
    fleet.tiny.pause_seconds = 0.5
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    aborted = fleet.tiny.aborted
    fleet.tiny.chunks, begun = 40, time.monotonic()
    with fleet.gateway.connection() as connection:
        connection.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        found = b""
        while b'"number": 1' not in found:
            found += connection.recv(4096)
    # The engine would have taken 20 s.
    while fleet.tiny.aborted == aborted and time.monotonic() - begun < 19:
        time.sleep(0.1)
    fleet.tiny.chunks = 5
    assert fleet.tiny.aborted == aborted + 1


def test_no_key_is_in_the_log(fleet: Fleet) -> None:
    gateway = fleet.gateway
    gateway.ask("POST", f"/v1/chat/completions?key={gateway.keys['full']}", {"model": "r1"})
    gateway.ask("POST", "/v1/chat/completions", {"model": "r1"}, None, Authorization="Bearer a-wrong-key-of-somebody")
    log = gateway.log()
    assert '"r1"' in log or " r1 " in log
    assert not any(key in log for key in [*gateway.keys.values(), "a-wrong-key-of-somebody"])


def test_a_client_that_is_taken_away_is_shut_out_at_once_and_without_a_reload(fleet: Fleet) -> None:
    gateway, socket = fleet.gateway, str(fleet.gateway.folder / "gateway.sock")
    before = (gateway.folder / "clients.map").read_text()
    process = next(line for line in gateway.command("show info").splitlines() if line.startswith("Pid:"))
    assert gateway.chat("tiny", "plain").status == 200
    live.take_up(socket, "clients.map", "".join(line for line in before.splitlines(True) if " plain" not in line))
    try:
        assert gateway.chat("tiny", "plain").status == 401
        assert gateway.chat("tiny", "full").status == 200
    finally:
        live.take_up(socket, "clients.map", before)
    assert live.running(socket, "clients.map") == live.entries(before)
    assert gateway.chat("tiny", "plain").status == 200
    assert process in gateway.command("show info")
    lists = (gateway.folder / "openai_list.map").read_text()
    live.take_up(socket, "openai_list.map", lists)
    assert live.running(socket, "openai_list.map") == live.entries(lists)
    assert len(gateway.ask("GET", "/v1/models").json["data"]) == 4
