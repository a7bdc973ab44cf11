# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors that hold, poison or confuse a download beside an honest hub: the right bytes come, and in time."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._http.client import HttpClient
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._lock import headers
from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import ListedFile
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import download
from ansible_collections.gguf.fleet.tests.attacks.network.hostile import (
    SOON_SECONDS,
    Asked,
    Attack,
    Hostile,
    drip,
    partial_content,
)
from ansible_collections.gguf.fleet.tests.builders.download import MIB, Model, another, leftovers, request, served


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON_SECONDS


def answers(head: bytes, piece: bytes = b"") -> Attack:
    """Send this, whatever was asked, and then the piece for ever."""

    def attack(_asked: Asked, sock: socket.socket) -> None:
        sock.sendall(head)
        drip(sock, piece)

    return attack


def body_drip(piece: bytes, every_seconds: float = 0.2) -> Attack:
    """An honest head, and a body that never comes to its end."""

    def attack(asked: Asked, sock: socket.socket) -> None:
        sock.sendall(partial_content(asked, 10**12) if "range" in asked.headers else b"HTTP/1.1 200 OK\r\n\r\n")
        drip(sock, piece, every_seconds)

    return attack


SLOW: dict[str, Attack] = {
    "silence": answers(b""),
    "status line": answers(b"HTTP/1.1 ", b"2"),
    "headers": answers(b"HTTP/1.1 206 Partial Content\r\n", b"X-Pad: x\r\n"),
    "100 Continue": answers(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": body_drip(b"G"),
    "chunks": answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nG\r\n"),
    "chunk size": answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_resolve_does_not_wait_for_ever(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "ATTEMPTS", 1)
    with Hostile(SLOW[name]) as hub, pytest.raises(HubProblem):
        headers.read_shard(ListedFile("a.gguf", 10**12, None, hub.url + "/a.gguf"), HttpClient(timeout_seconds=0.5))


@pytest.mark.parametrize("name", SLOW)
def test_a_mirror_that_drips_is_left_for_the_hub_beside_it(name: str, model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model) as hub, Hostile(SLOW[name]) as mirror:
        wanted = request(model.lock(hub), dest, mirrors=[mirror.url], timeout_seconds=0.5, connections=2)
        download.present(wanted, ledger)
    assert mirror.asked
    assert dest.read_bytes() == model.merged


def right_bytes(model: Model, asked: Asked) -> bytes:
    content = model.shards[[path in asked.path for path in model.paths].index(True)]
    return content[asked.start : asked.end]


def size_of(model: Model, asked: Asked) -> int:
    return len(model.shards[[path in asked.path for path in model.paths].index(True)])


@pytest.mark.parametrize("connections", [1, 4])
def test_a_mirror_with_right_but_few_bytes_is_left_in_the_midst_of_a_block(
    connections: int, model: Model, dest: Path, ledger: Ledger
) -> None:
    """Above any least speed, but a hundred times slower than the hub."""

    def attack(asked: Asked, sock: socket.socket) -> None:
        data = right_bytes(model, asked)
        sock.sendall(partial_content(asked, size_of(model, asked)))
        if len(data) < MIB:
            sock.sendall(data)  # the headers come quickly
            return
        for at in range(0, len(data), 2000):
            sock.sendall(data[at : at + 2000])
            time.sleep(0.1)

    with served(model) as hub, Hostile(attack) as mirror:
        download.present(request(model.lock(hub), dest, mirrors=[mirror.url], connections=connections), ledger)
    assert dest.read_bytes() == model.merged


def test_a_mirror_that_sends_a_byte_and_breaks_off_each_time_does_not_keep_the_download(
    model: Model, dest: Path, ledger: Ledger
) -> None:
    def attack(asked: Asked, sock: socket.socket) -> None:
        sock.sendall(partial_content(asked, size_of(model, asked)) + right_bytes(model, asked)[:1])

    with served(model) as hub, Hostile(attack) as mirror:
        download.present(request(model.lock(hub), dest, mirrors=[mirror.url]), ledger)
    assert dest.read_bytes() == model.merged
    with Hostile(attack) as alone, pytest.raises(TransferError):
        lock = model.lock()
        for file in lock["files"]:
            file["url"] = f"{alone.url}/{file['path']}"
        download.present(request(another(lock), dest.with_name("b.gguf"), retries=2), ledger)


def spoiled(data: bytes) -> bytes:
    """Wrong, but not in a way that shows at once."""
    return data[:4] + bytes(byte ^ 1 for byte in data[4:])


@pytest.mark.parametrize(
    ("afterwards", "sealed"),
    [
        ("gone", 0),
        ("silent", 0),
        ("still there", 2 * MIB),
        pytest.param("gone", 2 * MIB, marks=pytest.mark.long),
        pytest.param("silent", 2 * MIB, marks=pytest.mark.long),
        pytest.param("still there", 0, marks=pytest.mark.long),
    ],
)
def test_bytes_that_a_bad_mirror_began_are_not_blamed_on_the_hub_that_finished_them(
    afterwards: str, sealed: int, model: Model, dest: Path, ledger: Ledger
) -> None:
    """The mirror begins every block with wrong bytes and breaks off; the hub brings the rest."""

    def attack(asked: Asked, sock: socket.socket) -> None:
        data = right_bytes(model, asked)
        head = partial_content(asked, size_of(model, asked))
        if asked.end - asked.start < MIB:
            sock.sendall(head + data)  # honest with the headers
        elif afterwards != "still there" and asked.number > 12:
            if afterwards == "silent":
                drip(sock, b"")
            sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            sock.sendall(head + spoiled(data[: MIB // 2]))

    with served(model) as hub, Hostile(attack) as mirror:
        lock = model.lock(hub, sealed_pieces=sealed)
        result = download.present(request(lock, dest, mirrors=[mirror.url], timeout_seconds=0.5), ledger)
    assert dest.read_bytes() == model.merged
    assert result.sources[mirror.url] > MIB, "the attack took place"
    assert leftovers(dest) == []


def test_a_mirror_that_spoils_everything_ends_no_download_from_an_honest_hub(
    model: Model, dest: Path, ledger: Ledger
) -> None:
    def attack(asked: Asked, sock: socket.socket) -> None:
        data = right_bytes(model, asked)
        small = asked.end - asked.start < MIB
        sock.sendall(partial_content(asked, size_of(model, asked)) + (data if small else spoiled(data)))

    with served(model) as hub, Hostile(attack) as mirror:
        download.present(request(model.lock(hub), dest, mirrors=[mirror.url]), ledger)
    assert dest.read_bytes() == model.merged


def test_what_an_earlier_run_left_is_not_blamed_on_the_hub_of_this_one(
    model: Model, dest: Path, ledger: Ledger
) -> None:
    class Killed(Exception):
        pass

    def attack(asked: Asked, sock: socket.socket) -> None:
        data = right_bytes(model, asked)
        small = asked.end - asked.start < MIB
        sock.sendall(partial_content(asked, size_of(model, asked)) + (data if small else spoiled(data)))

    def stop(status: object) -> None:
        if getattr(status, "bytes_done", 0) >= 4 * MIB:
            raise Killed

    lock = model.lock()
    with Hostile(attack) as mirror:
        for file in lock["files"]:
            file["url"] = f"{mirror.url}/{file['path']}"
        unfinished = {**lock, "files": [{**file} for file in lock["files"]]}
        with pytest.raises((Killed, TransferError)):
            download.present(request(unfinished, dest), ledger, tick=stop)
    with served(model) as hub:
        download.present(request(model.lock(hub), dest), ledger)
    assert dest.read_bytes() == model.merged


NONSENSE: dict[str, bytes] = {
    "Location: http://[evil": b"HTTP/1.1 302 Found\r\nLocation: http://[evil\r\nContent-Length: 0\r\n\r\n",
    "Location: /é": "HTTP/1.1 302 Found\r\nLocation: /é\r\nContent-Length: 0\r\n\r\n".encode(),
    "Location: http://é/": "HTTP/1.1 302 Found\r\nLocation: http://é/\r\nContent-Length: 0\r\n\r\n".encode(),
    "Location: http://a..b/": b"HTTP/1.1 302 Found\r\nLocation: http://a..b/\r\nContent-Length: 0\r\n\r\n",
    "Location with a port": b"HTTP/1.1 302 Found\r\nLocation: http://h:99999999/\r\nContent-Length: 0\r\n\r\n",
    "Location: file": b"HTTP/1.1 302 Found\r\nLocation: file:///etc/shadow\r\nContent-Length: 0\r\n\r\n",
    "Location with controls": b"HTTP/1.1 302 Found\r\nLocation: /a\x1b[2J\x00b c\r\nContent-Length: 0\r\n\r\n",
    "Location with a folded line": b"HTTP/1.1 302 Found\r\nLocation: /a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "no Location": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
    "Retry-After: ²": b"HTTP/1.1 503 Busy\r\nRetry-After: \xb2\r\nContent-Length: 0\r\n\r\n",
    "Retry-After of 5,000 digits": b"HTTP/1.1 503 B\r\nRetry-After: " + b"9" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
    "Retry-After: year 0": b"HTTP/1.1 503 B\r\nRetry-After: Mon, 01 Jan 0000 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
    "Content-Range of 5,000 digits": b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-" + b"9" * 5000 + b"/*\r\n\r\n",
    "Content-Range: ²": b"HTTP/1.1 206 P\r\nContent-Range: bytes \xb2-\xb3/\xb9\r\n\r\n",
    "Content-Length: ²": b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n",
    "Content-Length of 5,000 digits": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "a negative chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
    "a huge chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\nhello\r\n",
    "200 headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "a header line of 1 MB": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10**6 + b"\r\n\r\n",
    "no HTTP": b"\x00\x01\x02 hello\r\n\r\n",
    "a status of 3 letters": b"HTTP/1.1 abc OK\r\n\r\n",
    "JSON with escapes": b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"\x1b[2J":',
    "an empty file": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "an empty range": b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/0\r\nContent-Length: 0\r\n\r\n",
    "a JSON answer cut short": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{",
}


def closing(answer: bytes) -> Attack:
    def attack(_asked: Asked, sock: socket.socket) -> None:
        sock.sendall(answer)

    return attack


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_an_error_of_its_source_and_not_of_the_download(
    name: str, model: Model, dest: Path, ledger: Ledger
) -> None:
    with served(model) as hub, Hostile(closing(NONSENSE[name])) as mirror:
        wanted = request(model.lock(hub), dest, mirrors=[mirror.url], retries=1, timeout_seconds=2)
        download.present(wanted, ledger)
        assert mirror.asked
        assert dest.read_bytes() == model.merged
        lock = model.lock()
        for file in lock["files"]:
            file["url"] = f"{mirror.url}/{file['path']}"
        with pytest.raises(TransferError) as caught:
            download.present(request(another(lock), dest.with_name("b.gguf"), retries=0, timeout_seconds=2), ledger)
    assert mirror.url in caught.value.problem or "127.0.0.1" in caught.value.problem
    assert caught.value.remedy


def test_a_body_in_chunks_without_ranges_is_read_to_its_end(model: Model, dest: Path, ledger: Ledger) -> None:
    """And one that ends early, or that has no byte at all, keeps nobody busy."""
    served_share = [1.0]

    def attack(asked: Asked, sock: socket.socket) -> None:
        content = model.shards[[path in asked.path for path in model.paths].index(True)]
        data = content[: int(len(content) * served_share[0])]
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(data), 100_000):
            piece = data[at : at + 100_000]
            sock.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        sock.sendall(b"0\r\n\r\n")

    lock = model.lock()
    with Hostile(attack) as hub:
        for file in lock["files"]:
            file["url"] = f"{hub.url}/{file['path']}"
        download.present(request(lock, dest), ledger)
        assert dest.read_bytes() == model.merged
        for served_share[0] in (0.5, 0.0):
            with pytest.raises(TransferError):
                download.present(request(another(lock), dest.with_name("b.gguf"), retries=1), ledger)


def test_a_redirect_to_letters_beyond_ascii_is_percent_encoded_and_followed(
    model: Model, dest: Path, ledger: Ledger
) -> None:
    def attack(asked: Asked, sock: socket.socket) -> None:
        if "moved" not in asked.path:
            location = f"/moved é{asked.path}"
            sock.sendall(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        sock.sendall(partial_content(asked, size_of(model, asked)) + right_bytes(model, asked))

    lock = model.lock()
    with Hostile(attack) as hub:
        for file in lock["files"]:
            file["url"] = f"{hub.url}/{file['path']}"
        download.present(request(lock, dest), ledger)
    assert dest.read_bytes() == model.merged
    assert any(asked.path.startswith("/moved%20%C3%A9/") for asked in hub.asked)
