# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a request to its lock, with real files: in a folder, and on a server that sends ranges."""

from __future__ import annotations

import functools
import hashlib
import http.server
import re
import threading
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import Request
from ansible_collections.gguf.fleet.plugins.module_utils._lock.resolve import resolve
from ansible_collections.gguf.fleet.tests.builders import gguf as builders

SHARDS = 3
PREFIX = "Tiny-Q4_K_M"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two quants: one of three shards, one of one file."""
    groups = [[builders.Tensor(f"blk.{shard}.weight", (4096,), "F32")] for shard in range(SHARDS)]
    builders.write_shards(tmp_path, builders.split_set(groups), PREFIX)
    whole = builders.gguf({"general.architecture": ("str", "llama")}, builders.tensors(1))
    (tmp_path / "Tiny-Q8_0.gguf").write_bytes(whole)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    class _Requests(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            path = Path(self.translate_path(self.path))
            wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if not path.is_file() or wanted is None:
                self.send_error(404)
                return
            content = path.read_bytes()
            part = content[int(wanted[1]) : int(wanted[2]) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {wanted[1]}-{int(wanted[1]) + len(part) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part)

        def log_message(self, *_arguments: Any) -> None:
            pass

    loopback = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Requests, directory=str(folder)))
    loopback.daemon_threads = True
    threading.Thread(target=loopback.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{loopback.server_address[1]}"
    loopback.shutdown()
    loopback.server_close()


def names() -> List[str]:
    return [builders.shard_name(index, SHARDS, PREFIX) for index in range(SHARDS)]


def test_a_folder_becomes_a_lock_of_the_files_in_it(folder: Path) -> None:
    lock = resolve(Request(hub="path", path=str(folder), quant="Q4_K_M"))
    assert [file["path"] for file in lock["files"]] == names()
    assert [file["size_bytes"] for file in lock["files"]] == [(folder / name).stat().st_size for name in names()]
    assert lock["quant"] == "Q4_K_M"
    assert lock["gguf"]["split"]["count"] == SHARDS
    check_lock(lock)


def test_the_headers_of_a_lock_are_those_of_its_files(folder: Path) -> None:
    for file in resolve(Request(hub="path", path=str(folder), quant="Q4_K_M"))["files"]:
        start = (folder / file["path"]).read_bytes()[: file["header_bytes"]]
        assert hashlib.sha256(start).hexdigest() == file["header_sha256"]


def test_one_address_of_a_shard_stands_for_the_whole_set(server: str, folder: Path) -> None:
    lock = resolve(Request(hub="url", urls=(f"{server}/{names()[0]}",)))
    assert [file["url"] for file in lock["files"]] == [f"{server}/{name}" for name in names()]
    there = resolve(Request(hub="path", path=str(folder), quant="Q4_K_M"))
    for key in ("size_bytes", "header_bytes", "header_sha256"):
        assert [file[key] for file in lock["files"]] == [file[key] for file in there["files"]]
    assert lock["merged"] == there["merged"]


def test_a_single_file_is_its_own_merge(server: str) -> None:
    digest = "ab" * 32
    lock = resolve(
        Request(hub="url", urls=(f"{server}/Tiny-Q8_0.gguf",), sha256={"Tiny-Q8_0.gguf": digest}),
    )
    assert lock["files"][0]["sha256"] == digest
    assert lock["merged"] == {"size_bytes": lock["files"][0]["size_bytes"], "sha256": digest}


def test_credentials_of_an_address_are_not_in_its_lock(server: str) -> None:
    address = server.replace("://", "://user:secret@")
    assert "secret" not in str(resolve(Request(hub="url", urls=(f"{address}/Tiny-Q8_0.gguf",))))


def test_a_quant_that_is_not_there_is_refused_with_those_that_are(folder: Path) -> None:
    with pytest.raises(HubProblem, match=r"Q4_K_M.*Q8_0"):
        resolve(Request(hub="path", path=str(folder), quant="Q2_K"))


def test_a_shard_alone_is_no_model(folder: Path) -> None:
    (folder / names()[1]).unlink()
    with pytest.raises(HubProblem, match="2 of 3 shards"):
        resolve(Request(hub="path", path=str(folder), quant="Q4_K_M"))


def test_a_shard_under_the_name_of_a_whole_file_is_refused(folder: Path) -> None:
    (folder / "Tiny-Q6_K.gguf").write_bytes((folder / names()[0]).read_bytes())
    with pytest.raises(HubProblem, match="one of 3 shards"):
        resolve(Request(hub="path", path=str(folder), quant="Q6_K"))


def test_a_file_that_is_no_gguf_is_refused(folder: Path) -> None:
    (folder / "Tiny-Q6_K.gguf").write_bytes(b"<html>" * 100)
    with pytest.raises(HubProblem, match=r"Tiny-Q6_K\.gguf"):
        resolve(Request(hub="path", path=str(folder), quant="Q6_K"))


def test_an_address_that_is_gone_is_named(server: str) -> None:
    with pytest.raises(Exception, match="404") as caught:
        resolve(Request(hub="url", urls=(f"{server}/gone.gguf",)))
    assert "gone.gguf" in str(caught.value)
