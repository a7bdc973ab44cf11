# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to the server: kept connections, proxies, authorities, redirects."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import subprocess
import threading
import urllib.parse
from pathlib import Path
from typing import Any, ClassVar, Iterator, List

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._http.client import HttpClient
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import SourceError, TransferError, Transient
from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import hub_secrets
from ansible_collections.gguf.fleet.tests.builders.ranges import read_range
from ansible_collections.gguf.fleet.tests.doubles.hub.faults import Fault
from ansible_collections.gguf.fleet.tests.doubles.hub.server import HubDouble

REPO, PATH = "lab/Files", "a.gguf"
CONTENT = bytes(range(256)) * 4096


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    file = tmp_path / "hub" / REPO / PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    return tmp_path / "hub"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class _Proxy(http.server.BaseHTTPRequestHandler):
    """Forwards plain http, opens tunnels, and demands a password for both."""

    seen: ClassVar[List[str]] = []

    def do_GET(self) -> None:
        if not self._let_in():
            return
        parts = urllib.parse.urlsplit(self.path)
        onward = http.client.HTTPConnection(parts.hostname or "", parts.port)
        onward.request("GET", parts.path, headers={"Range": self.headers["Range"]})
        answer = onward.getresponse()
        self.send_response(answer.status)
        for name in ("Content-Range", "Content-Length"):
            self.send_header(name, answer.headers[name])
        self.end_headers()
        self.wfile.write(answer.read())

    def do_CONNECT(self) -> None:
        if not self._let_in():
            return
        host, _colon, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as onward:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pump, args=(onward, self.connection), daemon=True)
            back.start()
            _pump(self.connection, onward)
            back.join(5)

    def _let_in(self) -> bool:
        _Proxy.seen.append(self.path)
        if self.headers.get("Proxy-Authorization") == "Basic YW5uOnB3":
            return True
        self.send_response(407)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def log_message(self, format: str, *arguments: Any) -> None:
        return


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxy() -> Iterator[int]:
    _Proxy.seen.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_ranges_come_over_one_kept_connection(root: Path) -> None:
    with HubDouble(root) as hub:
        client = HttpClient()
        for start in (0, 1000, len(CONTENT) - 500):
            assert read_range(hub.file_url(REPO, PATH), start, 500, client=client) == CONTENT[start : start + 500]
        assert hub.max_connections == 1
        client.close()


def test_a_range_over_the_end_is_as_long_as_the_file(root: Path) -> None:
    with HubDouble(root) as hub:
        assert read_range(hub.file_url(REPO, PATH), len(CONTENT) - 10, 500) == CONTENT[-10:]


def test_a_range_behind_the_end_is_an_error_with_a_name(root: Path) -> None:
    with HubDouble(root) as hub, pytest.raises(SourceError) as caught:
        read_range(hub.file_url(REPO, PATH), len(CONTENT) + 1, 10)
    assert caught.value.reason == "shorter-than-listed"


def test_a_server_without_ranges_still_gives_the_wanted_bytes(root: Path) -> None:
    with HubDouble(root, faults=[Fault("no_range")]) as hub:
        assert read_range(hub.file_url(REPO, PATH), 70_000, 500) == CONTENT[70_000:70_500]


def test_the_proxy_of_the_environment_is_used_with_its_password(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubDouble(root) as hub, proxy() as port:
        monkeypatch.setenv("http_proxy", f"http://ann:pw@127.0.0.1:{port}")
        assert read_range(hub.file_url(REPO, PATH), 5, 50) == CONTENT[5:55]
        assert _Proxy.seen == [hub.file_url(REPO, PATH)]
        monkeypatch.setenv("no_proxy", "127.0.0.0/8")
        assert read_range(hub.file_url(REPO, PATH), 5, 50) == CONTENT[5:55]
        assert len(_Proxy.seen) == 1


def test_a_proxy_that_wants_a_password_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubDouble(root) as hub, proxy() as port:
        monkeypatch.setenv("http_proxy", f"http://ann:wrong@127.0.0.1:{port}")
        with pytest.raises(SourceError) as caught:
            read_range(hub.file_url(REPO, PATH), 5, 50)
    assert caught.value.reason == "bad-proxy"
    assert "wrong" not in str(caught.value)


def certificate(place: Path) -> Path:
    pem = place / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(place / "key"), "-out",
         str(place / "crt")],
        check=True,
        capture_output=True,
    )  # fmt: skip
    pem.write_bytes((place / "key").read_bytes() + (place / "crt").read_bytes())
    return pem


def test_an_authority_of_our_own_is_trusted_when_it_is_named(root: Path, tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    with HubDouble(root, certificate=pem, cdn=True) as hub:
        url = hub.file_url(REPO, PATH)
        assert read_range(url, 9, 90, ca_file=str(tmp_path / "crt")) == CONTENT[9:99]
        with pytest.raises(SourceError) as caught:
            read_range(url, 9, 90)
    assert caught.value.reason == "untrusted-certificate"
    assert "ca_file" in caught.value.remedy


def test_tls_goes_through_a_tunnel_of_the_proxy_to_its_end(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path)
    with HubDouble(root, certificate=pem) as hub, proxy() as port:
        monkeypatch.setenv("https_proxy", f"http://ann:pw@127.0.0.1:{port}")
        assert read_range(hub.file_url(REPO, PATH), 9, 90, ca_file=str(tmp_path / "crt")) == CONTENT[9:99]
        assert _Proxy.seen == [f"127.0.0.1:{hub.port}"]
        monkeypatch.setenv("https_proxy", f"http://ann:wrong@127.0.0.1:{port}")
        with pytest.raises(TransferError) as caught:
            read_range(hub.file_url(REPO, PATH), 9, 90, ca_file=str(tmp_path / "crt"))
    assert "407" in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_headers_of_the_caller_stay_at_the_origin_that_they_are_for(root: Path) -> None:
    with HubDouble(root, cdn=True) as hub:
        secrets = hub_secrets({"hub": "url", "endpoint": hub.url}, None, {"X-Team": "ml", "Cookie": "s=1"})
        read_range(hub.file_url(REPO, PATH), 0, 10, secrets=secrets)
        first, second = hub.requests
    assert (first.headers["cookie"], first.headers["x-team"]) == ("s=1", "ml")
    assert not {"cookie", "x-team"} & set(second.headers)


def test_nobody_listening_is_worth_another_attempt() -> None:
    with pytest.raises(Transient) as caught:
        read_range("http://127.0.0.1:9/a", 0, 10)
    assert caught.value.reason == "unreachable"
