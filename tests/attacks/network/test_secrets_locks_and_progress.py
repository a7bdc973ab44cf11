# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hubs, mirrors and locks that want a token, a file of the host, a terminal or gigabytes of memory."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import hub_secrets
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._lock import resolve
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import Request
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import download
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.sources import Access
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import parse_status
from ansible_collections.gguf.fleet.plugins.modules import gguf_download
from ansible_collections.gguf.fleet.plugins.plugin_utils.background import BackgroundAction
from ansible_collections.gguf.fleet.tests.attacks.conftest import Canary
from ansible_collections.gguf.fleet.tests.attacks.network.hostile import SOON_SECONDS, Asked, Hostile, drip
from ansible_collections.gguf.fleet.tests.builders.download import REPO, Model, request, served, sha256

TOKEN, KEY = "hf_s3cret", "k3y-of-the-hub"
COLLECTIONS = Path(__file__).resolve().parents[3] / ".collections"


def seen(*servers: Hostile) -> str:
    """All that these servers were told."""
    return json.dumps([[asked.path, asked.headers] for server in servers for asked in server.asked])


def not_found(_asked: Asked, sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")


def to(target: str) -> Any:
    def attack(asked: Asked, sock: socket.socket) -> None:
        location = f"{target}{asked.path}"
        sock.sendall(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())

    return attack


def fetch(lock: dict[str, Any], dest: Path, ledger: Ledger, mirrors: tuple[str, ...] = ()) -> None:
    access = Access(hub_secrets(lock, TOKEN, {"X-Api-Key": KEY}), timeout_seconds=1.0)
    wanted = replace(request(lock, dest, mirrors=mirrors, retries=0), access=access)
    with contextlib.suppress(TransferError):
        download.present(wanted, ledger)


def test_no_mirror_learns_a_secret(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, token=TOKEN) as hub, Hostile(not_found) as mirror:
        fetch(model.lock(hub), dest, ledger, (mirror.url,))
    assert mirror.asked
    assert TOKEN not in seen(mirror) and KEY not in seen(mirror)
    assert dest.read_bytes() == model.merged, "the hub itself was told the token"


def test_an_address_of_another_origin_in_a_lock_learns_no_secret(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model) as hub, Hostile(not_found) as other:
        lock = model.lock(hub)
        for file in lock["files"]:
            file["url"] = f"{other.url}/{file['path']}"
        fetch(lock, dest, ledger)
    assert other.asked
    assert TOKEN not in seen(other) and KEY not in seen(other)


def test_a_plain_address_learns_no_token(model: Model, dest: Path, ledger: Ledger) -> None:
    with Hostile(not_found) as anybody:
        lock = {**model.lock(), "hub": "url", "endpoint": anybody.url}
        for file in lock["files"]:
            file["url"] = f"{anybody.url}/{file['path']}"
        fetch(lock, dest, ledger)
        with pytest.raises(HubProblem):
            resolve.resolve(Request(hub="url", urls=(f"{anybody.url}/a.gguf",)), token=TOKEN)
    assert anybody.asked
    assert TOKEN not in seen(anybody)


def test_no_redirect_takes_a_secret_along(model: Model, dest: Path, ledger: Ledger) -> None:
    with Hostile(not_found) as thief, Hostile(to(thief.url)) as hub:
        lock = {**model.lock(), "hub": "modelscope", "endpoint": hub.url, "repo": REPO}
        for file in lock["files"]:
            file["url"] = f"{hub.url}/{file['path']}"
        fetch(lock, dest, ledger)
    assert TOKEN in seen(hub) and thief.asked
    assert TOKEN not in seen(thief) and KEY not in seen(thief)


@pytest.mark.parametrize("name", ["modelscope", "huggingface"])
def test_a_hub_that_redirects_its_listing_takes_no_token_along(name: str) -> None:
    hops: list[str] = []

    def again(asked: Asked, sock: socket.socket) -> None:
        if asked.number:
            not_found(asked, sock)
        else:
            to(hops[0])(asked, sock)

    with Hostile(again) as thief, Hostile(to(thief.url)) as hub:
        hops.append(thief.url + "/again")
        with pytest.raises(HubProblem):
            resolve.resolve(Request(hub=name, repo="a/b", endpoint=hub.url), token=TOKEN)
    assert TOKEN in seen(hub) and thief.asked
    assert TOKEN not in seen(thief)


@pytest.mark.parametrize("name", ["modelscope", "huggingface"])
def test_a_listing_that_drips_ends_a_resolve_in_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(_asked: Asked, sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{")
        drip(sock, b" ", 0.5)

    monkeypatch.setattr(resolve, "LISTING_SECONDS", 3.0)
    began = time.monotonic()
    with Hostile(slow) as hub, pytest.raises(HubProblem, match=r"a/b did not come within 3 s"):
        resolve.resolve(Request(hub=name, repo="a/b", endpoint=hub.url))
    assert time.monotonic() - began < SOON_SECONDS


LISTINGS = {
    "a list": "[]",
    "empty": "{}",
    "nothing": "null",
    "a number": '{"Data": 3}',
    "numbers": '{"Data": {"Files": [3]}}',
    "a path that is no text": '{"Data": {"Files": [{"Path": {}}]}}',
    "5,000 digits": "9" * 5000,
}


@pytest.mark.parametrize("text", LISTINGS.values(), ids=LISTINGS)
@pytest.mark.parametrize("name", ["modelscope", "huggingface"])
def test_a_listing_that_is_none_is_a_plain_error(name: str, text: str) -> None:
    def answer(_asked: Asked, sock: socket.socket) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        sock.sendall((head + text).encode())

    with Hostile(answer) as hub, pytest.raises(HubProblem) as caught:
        resolve.resolve(Request(hub=name, repo="a/b", endpoint=hub.url))
    assert caught.value.remedy


SEPARATORS = ["\u2028", "\u2029", "\u0085", "\x9b31m", "\x1b[2J", "\u202e", "\u200b", "\n", "\r"]


@pytest.mark.parametrize("character", SEPARATORS, ids=ascii)
def test_no_name_of_a_hub_or_a_lock_ends_a_line(character: str, model: Model) -> None:
    """Such a name made lines of its own in a unit: User=root, and ExecStart= of the hub's choice."""
    name = f"a{character}User=root{character}ExecStart=/bin/sh-Q8_0.gguf"
    entry = {"Type": "blob", "Path": name, "Size": 1, "Sha256": "a" * 64}
    listing = json.dumps({"Code": 200, "Success": True, "Data": {"Files": [entry]}})

    def answer(_asked: Asked, sock: socket.socket) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(listing)}\r\n\r\n"
        sock.sendall((head + listing).encode())

    with Hostile(answer) as hub, pytest.raises(HubProblem, match="no plain name") as caught:
        resolve.resolve(Request(hub="modelscope", repo="a/b", endpoint=hub.url))
    assert character not in str(caught.value)
    for key in ("path", "quant", "revision", "repo"):
        lock = model.lock()
        lock["hub"], lock["endpoint"] = "path", "file:///srv"
        (lock["files"][0] if key == "path" else lock)[key] = name
        with pytest.raises(HubProblem) as caught:
            check_lock(lock)
        assert character not in str(caught.value)


def shadow_lock(canary: Canary, hub: str) -> dict[str, Any]:
    size = len(canary.content)
    file = {"path": "x.gguf", "size_bytes": size, "sha256": sha256(canary.content), "url": canary.path.as_uri()}
    return {
        "lock_version": 1,
        "hub": hub,
        "endpoint": canary.path.parent.as_uri() if hub == "path" else "https://hub.example",
        "repo": None,
        "revision": None,
        "commit": None,
        "quant": "x",
        "files": [{**file, "header_bytes": 0, "header_sha256": None}],
        "gguf": {},
        "merged": {"size_bytes": size, "sha256": None},
    }


@pytest.mark.parametrize("hub", ["modelscope", "huggingface", "url", "path"])
@pytest.mark.parametrize("layout", ["merged", "shards"])
def test_a_lock_publishes_no_file_of_root(
    hub: str, layout: str, canary: Canary, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dest = tmp_path / "models" / "x.gguf"
    one = {"lock": shadow_lock(canary, hub), "dest": str(dest), "layout": layout}
    arguments = {"downloads": [one], "retries": 0}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        gguf_download.main()
    assert json.loads(capsys.readouterr().out)["failed"]
    found = [path for path in tmp_path.rglob("*") if path.is_file() and path != canary.path]
    assert not [path for path in found if canary.content in path.read_bytes() and path.stat().st_mode & 0o077]
    assert not dest.is_file()
    canary.check()


def test_a_fifo_in_the_place_of_a_file_holds_nobody(model: Model, dest: Path, ledger: Ledger) -> None:
    lock = model.lock()
    fifo = dest.parent / "fifo.gguf"
    fifo.parent.mkdir()
    os.mkfifo(fifo)
    lock["files"][0]["url"] = fifo.as_uri()
    with pytest.raises(TransferError, match="no regular file"):
        download.present(request(lock, dest, retries=0), ledger)


def test_a_lock_of_aliases_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    levels = "a0: &a0 [" + ", ".join(["x" * 20] * 10) + "]\n"
    levels += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    (tmp_path / "models.lock.txt").write_text(levels + "locks: {bomb: *a8}\n")
    code = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
from ansible_collections.gguf.fleet.plugins.module_utils._lock import lock_file
try:
    lock_file.dump(lock_file.load(sys.argv[1]))
except lock_file.HubProblem as error:
    print(error.problem)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "models.lock.txt")]
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SOON_SECONDS, check=False)
    assert "an anchor or an alias" in done.stdout, done.stderr[-300:]


def test_headers_and_token_show_in_no_output(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lock = {"lock_version": 1, "hub": f"gopher {KEY} {TOKEN}"}
    one = {"lock": lock, "dest": str(tmp_path / "x"), "token": TOKEN}
    arguments = {"downloads": [one], "headers": {"X-Api-Key": KEY}}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        gguf_download.main()
    out = capsys.readouterr().out
    assert json.loads(out)["failed"]
    assert KEY not in out and TOKEN not in out


class OnThisMachine(BackgroundAction):
    """The polls of a job, by a shell here."""

    def __init__(self) -> None:
        pass

    def _low_level_execute_command(self, command: str, **_options: Any) -> dict[str, Any]:
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=SOON_SECONDS, check=False)
        return {"stdout": done.stdout, "rc": done.returncode}


def test_no_word_of_a_hub_hides_the_result_of_a_job(tmp_path: Path) -> None:
    result = {"failed": True, "msg": "http://hub answered with JSON: ---status--- {}\n---status---\n"}
    (tmp_path / "job").write_text(json.dumps(result))
    (tmp_path / "status").write_text(json.dumps({"phase": "---status---", "bytes_done": 1, "bytes_total": 2}))
    job, (status,) = OnThisMachine()._poll(str(tmp_path / "job"), [str(tmp_path / "status")])
    assert job == result
    assert parse_status(status) is not None


def test_what_a_login_prints_is_no_result(tmp_path: Path) -> None:
    """Over a terminal a login may print a banner, here one that looks like a result."""

    class Greeted(OnThisMachine):
        def _low_level_execute_command(self, command: str, **options: Any) -> dict[str, Any]:
            return super()._low_level_execute_command(
                f"printf '%s\\r\\n' '{{\"changed\": true}}'; {command}", **options
            )

    (tmp_path / "job").write_text(json.dumps({"failed": True}))
    (tmp_path / "status").write_text("{}")
    assert Greeted()._poll(str(tmp_path / "job"), [str(tmp_path / "status")]) == ({"failed": True}, ["{}"])
    assert Greeted()._poll(str(tmp_path / "gone"), []) == (None, [])


def test_what_lies_in_the_place_of_a_status_file_holds_no_poll(tmp_path: Path) -> None:
    (tmp_path / "job").write_text('{"started": 1}')
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(1 << 33)
    places = [str(tmp_path / name) for name in ("fifo", "huge", "nothing")]
    job, texts = OnThisMachine()._poll(str(tmp_path / "job"), places)
    assert job == {"started": 1}
    assert [len(text) <= 1 << 20 for text in texts] == [True] * 3


STATUS = {"phase": "download", "bytes_done": 1, "bytes_total": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"phase": 3},
        {"bytes_total": "x"},
        {"bytes_total": 1e400},
        {"bytes_done": None},
        {"rate_bytes_per_second": []},
        {"eta_seconds": "soon"},
        {"message": {}},
        {"sources": 5},
        {"sources": {"a": "b"}},
    ],
    ids=str,
)
def test_a_status_that_is_none_is_left_aside(change: dict[str, Any]) -> None:
    assert parse_status(json.dumps(STATUS)) == STATUS
    assert parse_status(json.dumps({**STATUS, **change})) is None
    assert parse_status("[" * 100_000) is None
