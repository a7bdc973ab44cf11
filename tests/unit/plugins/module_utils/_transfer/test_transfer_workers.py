# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The threads that fetch, from files and from servers on loopback: every byte comes, from whoever serves it."""

from __future__ import annotations

import contextlib
import http.server
import re
import threading
from pathlib import Path
from typing import Any, Iterator, List, Sequence

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.durability import Durability
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.journal import SYNCED
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.pacing import Pace
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.scheduler import Scheduler
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.sources import Access, Source, local_source
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.workers import (
    Worker,
    WorkerPool,
    set_workers,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Meter
from ansible_collections.gguf.fleet.tests.builders.transfer import Laid, laid_out


@pytest.fixture
def laid(tmp_path: Path) -> Iterator[Laid]:
    with laid_out(tmp_path) as found:
        yield found


class Server:
    """The originals over HTTP; each answer is cut off after so many bytes, or is the whole file whatever was asked."""

    def __init__(self, laid: Laid, *, cut_after: int = 1 << 40, ranges: bool = True) -> None:
        contents = {f"/{path.name}": content for path, content in zip(laid.originals, laid.contents)}
        self.asked: List[str] = []
        asked = self.asked

        class _Requests(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                content = contents[self.path]
                wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                asked.append(self.headers.get("Range", ""))
                if wanted and ranges:
                    first, last = int(wanted[1]), int(wanted[2])
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
                    content = content[first : last + 1]
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(content[:cut_after])
                self.close_connection = len(content) > cut_after

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Requests)
        self._server.daemon_threads = True

    def __enter__(self) -> Server:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def source(self, laid: Laid) -> Source:
        port = self._server.server_address[1]
        return Source(f"port {port}", [f"http://127.0.0.1:{port}/{path.name}" for path in laid.originals], Access())


def from_folder(folder: Path, laid: Laid) -> Source:
    return Source(folder.name, [str(folder / path.name) for path in laid.originals], Access())


def fetch(laid: Laid, sources: Sequence[Source], connections: int = 2) -> WorkerPool:
    """Everything that is missing, or the error that ends it."""
    errors: List[BaseException] = []

    def on_error(error: BaseException) -> None:
        errors.append(error)
        pool.scheduler.close()

    pool = WorkerPool(
        plan=laid.plan,
        storage=laid.storage,
        window=laid.window(buffers=connections + 2),
        scheduler=Scheduler(laid.plan, bytes(laid.journal.states)),
        durability=Durability(laid.plan, laid.storage, laid.journal, on_error),
        sources=sources,
        meter=Meter(),
        pace=Pace(),
        retries=2,
        connections=connections,
        on_error=on_error,
        origins=[0] * laid.plan.block_count,
    )
    pool.durability.start()
    workers: List[Worker] = []
    set_workers(pool, workers, connections)
    while not pool.scheduler.finished and not pool.scheduler.closed:
        pool.scheduler.wait(0.05)
    pool.scheduler.close()
    for worker in workers:
        worker.thread.join()
    pool.durability.stop()
    if errors:
        raise errors[0]
    return pool


@pytest.mark.parametrize("connections", [1, 4])
def test_all_blocks_come_and_are_durable(connections: int, laid: Laid) -> None:
    pool = fetch(laid, [from_folder(laid.originals[0].parent, laid)], connections)
    assert laid.fetched() == laid.contents
    assert set(laid.journal.states) == {SYNCED}
    assert pool.meter.total == laid.plan.size_bytes


def test_what_is_there_already_is_not_fetched_again(laid: Laid) -> None:
    for block in (0, 3):
        laid.write(block)
        laid.journal.note([block], SYNCED)
    pool = fetch(laid, [from_folder(laid.originals[0].parent, laid)])
    assert laid.fetched() == laid.contents
    there = len(laid.bytes_of(0)) + len(laid.bytes_of(3))
    assert pool.meter.total == laid.plan.size_bytes - there


def test_a_source_that_lacks_the_files_is_left_for_one_that_has_them(laid: Laid, tmp_path: Path) -> None:
    pool = fetch(laid, [from_folder(tmp_path / "nothing", laid), from_folder(laid.originals[0].parent, laid)])
    assert laid.fetched() == laid.contents
    assert set(pool.meter.by_source) == {"from"}
    assert any("nothing" in note for note in pool.notes)


def test_a_page_in_the_place_of_a_model_is_refused_and_named(laid: Laid) -> None:
    for path, content in zip(laid.originals, laid.contents):
        path.write_bytes(b"<html>".ljust(len(content)))
    with pytest.raises(TransferError, match=r"m-\d.gguf is not a GGUF file") as caught:
        fetch(laid, [from_folder(laid.originals[0].parent, laid)], connections=1)
    assert caught.value.reason == "not-gguf"
    assert not any(laid.journal.states)


def test_a_copy_on_this_host_spares_the_network(laid: Laid) -> None:
    with Server(laid) as server:
        copy = local_source(str(laid.originals[0]), 0, laid.plan.files, "a folder")
        pool = fetch(laid, [server.source(laid), copy])
        assert laid.fetched() == laid.contents
        assert pool.meter.by_source[copy.name] == len(laid.contents[0])
        assert pool.meter.total == laid.plan.size_bytes


def test_a_connection_that_breaks_off_goes_on_where_it_was(laid: Laid) -> None:
    with Server(laid, cut_after=700_000) as server:
        pool = fetch(laid, [server.source(laid)], connections=1)
        assert laid.fetched() == laid.contents
        assert pool.meter.total == laid.plan.size_bytes
        assert len(server.asked) > laid.plan.size_bytes // 700_000


def test_a_server_without_ranges_sends_whole_files(laid: Laid) -> None:
    with Server(laid, ranges=False) as server:
        pool = fetch(laid, [server.source(laid)])
        assert laid.fetched() == laid.contents
        assert any("knows no ranges" in note for note in pool.notes)


def test_a_server_that_brings_nothing_is_given_up_and_what_was_fetched_is_kept(
    laid: Laid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: 0.01)
    laid.write(0)
    laid.journal.note([0], SYNCED)
    with Server(laid, cut_after=0) as server, pytest.raises(TransferError, match="attempts in a row"):
        fetch(laid, [server.source(laid)], connections=1)
    assert list(laid.journal.states) == [SYNCED, 0, 0, 0, 0, 0]


def test_connections_that_are_too_many_end(laid: Laid) -> None:
    pool = fetch(laid, [from_folder(laid.originals[0].parent, laid)])
    workers: List[Worker] = []
    set_workers(pool, workers, 3)
    set_workers(pool, workers, 1)
    assert pool.connections == 1
    assert sum(not worker.retired for worker in workers) <= 1
