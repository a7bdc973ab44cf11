# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way in which a hub, a mirror or the network can be wrong: right bytes in the end, or an error with a name."""

from __future__ import annotations

import datetime
import time
from pathlib import Path
from typing import Any, Dict

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import download
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.pacing import (
    Pace,
    RateLimit,
    TimeWindow,
    parse_rate,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Status
from ansible_collections.gguf.fleet.tests.builders.download import (
    MIB,
    REPO,
    Model,
    another,
    leftovers,
    make_model,
    request,
    served,
)
from ansible_collections.gguf.fleet.tests.doubles.hub.faults import Fault

SURVIVED: Dict[str, Any] = {
    "a reset every 2 MB": [Fault("reset", after_bytes=2_000_000)],
    "a stall for ever": [Fault("stall", after_bytes=3 * MIB, times=2)],
    "a run of 503": [Fault("status", code=503, times=4)],
    "a 429 that says when to come back": [Fault("status", code=429, retry_after="1", times=2)],
    "a 429 that names a date": [Fault("status", code=429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT", times=2)],
    "one flipped byte": [Fault("flip", "*00002*", offset=4 * MIB, times=1)],
    "one flipped byte in a header": [Fault("flip", "*00001*", offset=120, times=1)],
    "bodies cut short": [Fault("truncate", after_bytes=700_000, times=5)],
    "no ranges at all": [Fault("no_range")],
    "a redirect to another host": [Fault("redirect")],
    "a second host that forgets its addresses": [
        Fault("redirect"),
        Fault("expire", seconds=0.2),
        Fault("slow", bytes_per_second=4_000_000),
    ],
    "a server that tells no ETag": [Fault("no_etag")],
    "slow answers": [Fault("latency", seconds=0.05)],
}


@pytest.mark.parametrize("faults", SURVIVED.values(), ids=SURVIVED.keys())
def test_the_bytes_are_right_in_spite_of(faults: Any, model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, *faults) as hub:
        result = download.present(request(model.lock(hub), dest, retries=8), ledger)
    assert result.changed
    assert dest.read_bytes() == model.merged
    assert leftovers(dest) == []


REFUSED: Dict[str, Any] = {
    "a flipped byte each time": ([Fault("flip", "*00002*", offset=4 * MIB)], "checksum"),
    "an answer for another range": ([Fault("content_range", delta=512)], "wrong-range"),
    "a wrong Content-Length": ([Fault("length", "*00003*", delta=-1000)], "wrong-length"),
    "a compressed body": ([Fault("gzip")], "compressed"),
    "a login page": ([Fault("html")], "html-page"),
    "a file replaced while it is fetched": ([Fault("replace", "*00002*", after_bytes=100)], "changed"),
    "503 for ever": ([Fault("status", code=503)], "status-503"),
    "404": ([Fault("status", "*00003*", code=404)], "not-found"),
    "no answer at all": ([Fault("latency", seconds=60)], "stall"),
}


@pytest.mark.parametrize(("faults", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_clear_error_names(faults: Any, reason: str, model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, *faults) as hub:
        with pytest.raises(TransferError) as caught:
            # One connection, so that a file is asked for again after it was replaced.
            download.present(request(model.lock(hub), dest, connections=1, retries=2, timeout_seconds=0.5), ledger)
        assert caught.value.reason == reason
        assert not dest.exists()

        hub.clear_faults()
        download.present(request(model.lock(hub), dest), ledger)
    assert dest.read_bytes() == model.merged
    assert leftovers(dest) == []


def test_a_wrong_shard_costs_only_that_shard(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, Fault("flip", "*00002*", offset=4 * MIB, times=1)) as hub:
        download.present(request(model.lock(hub), dest), ledger)
        sent = {path: hub.bytes_sent(path) for path in model.paths}
    sizes = dict(zip(model.paths, map(len, model.shards)))
    assert sent[model.paths[0]] == sizes[model.paths[0]]
    assert sent[model.paths[2]] == sizes[model.paths[2]]
    assert sent[model.paths[1]] <= 2 * sizes[model.paths[1]]
    assert dest.read_bytes() == model.merged


def test_a_wrong_header_costs_that_header_only(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, Fault("flip", "*00002*", offset=120, times=1)) as hub:
        lock = model.lock(hub)
        download.present(request(lock, dest), ledger)
        assert hub.bytes_sent() == model.size_bytes + lock["files"][1]["header_bytes"]
    assert dest.read_bytes() == model.merged


def test_a_header_that_stays_wrong_is_refused_before_a_tensor_moves(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, Fault("flip", "*00002*", offset=120)) as hub:
        with pytest.raises(TransferError) as caught:
            download.present(request(model.lock(hub), dest), ledger)
        assert caught.value.reason == "checksum"
        assert "the header is not the one that was locked" in caught.value.problem
        assert hub.bytes_sent() < 64 * 1024
    assert not dest.exists()


def test_a_wrong_header_in_one_mirror_is_left_for_the_hubs(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model) as hub, served(model, Fault("flip", "*00002*", offset=120)) as wrong:
        mirror = f"{wrong.url}/models/{REPO}/resolve/master"
        download.present(request(model.lock(hub), dest, mirrors=[mirror]), ledger)
        assert hub.bytes_sent() + wrong.bytes_sent() < model.size_bytes + 64 * 1024
    assert dest.read_bytes() == model.merged


def test_without_the_headers_sum_a_wrong_header_is_found_by_its_shards(
    model: Model, dest: Path, ledger: Ledger
) -> None:
    with served(model, Fault("flip", "*00001*", offset=120, times=1)) as hub:
        download.present(request(model.lock(hub, header_digests=False), dest), ledger)
    assert dest.read_bytes() == model.merged
    assert leftovers(dest) == []


def test_with_a_seal_a_wrong_byte_costs_only_its_piece(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, Fault("flip", "*00002*", offset=4 * MIB, times=1)) as hub:
        download.present(request(model.lock(hub, sealed_pieces=MIB), dest), ledger)
        assert hub.bytes_sent() == model.size_bytes + MIB
    assert dest.read_bytes() == model.merged


def test_no_byte_is_fetched_twice_from_a_healthy_hub(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model) as hub:
        result = download.present(request(model.lock(hub), dest), ledger)
        assert hub.bytes_sent() == model.size_bytes
    assert result.bytes_moved == model.size_bytes


def test_a_listing_with_a_wrong_size_is_refused_before_a_tensor_moves(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model) as hub:
        lock = model.lock(hub)
        lock["files"][1]["size_bytes"] -= 4096
        with pytest.raises(TransferError) as caught:
            download.present(request(lock, dest), ledger)
        assert caught.value.reason == "wrong-size"
        assert hub.bytes_sent() < 2 * MIB
    assert not dest.exists()


def test_a_listing_with_a_wrong_sum_never_gets_the_name(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model) as hub:
        lock = model.lock(hub)
        lock["files"][1]["sha256"] = "0" * 64
        with pytest.raises(TransferError, match="the lock says 0000"):
            download.present(request(lock, dest), ledger)
    assert not dest.exists()


def test_a_mirror_with_other_bytes_is_left_for_the_hub(
    model: Model, dest: Path, ledger: Ledger, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong" / "Q1"
    wrong.mkdir(parents=True)
    for path, content in zip(model.paths, model.shards):
        (wrong.parent / path).write_bytes(content[:MIB] + bytes(len(content) - MIB))
    with served(model) as hub:
        result = download.present(request(model.lock(hub), dest, mirrors=[str(wrong.parent)]), ledger)
    assert dest.read_bytes() == model.merged
    assert any("wrong sha256" in action for action in result.actions)


def test_a_transfer_with_more_than_256_sources_still_knows_each_of_them(
    model: Model, dest: Path, ledger: Ledger, tmp_path: Path
) -> None:
    empty = [str(tmp_path / f"mirror-{number}") for number in range(300)]
    with served(model) as hub:
        download.present(request(model.lock(hub), dest, mirrors=empty), ledger)
    assert dest.read_bytes() == model.merged


def test_a_slow_mirror_is_left_for_a_quick_one(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model) as hub, served(model, Fault("slow", bytes_per_second=200_000)) as slow:
        mirror = f"{slow.url}/models/{REPO}/resolve/master"
        began = time.monotonic()
        download.present(request(model.lock(hub), dest, mirrors=[mirror], timeout_seconds=10), ledger)
        assert time.monotonic() - began < 20
        assert slow.bytes_sent() < model.size_bytes / 2
    assert dest.read_bytes() == model.merged


def test_a_byte_that_one_mirror_flips_costs_its_shard_and_that_mirror(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model) as hub, served(model, Fault("flip", "*00002*", offset=4 * MIB)) as wrong:
        mirror = f"{wrong.url}/models/{REPO}/resolve/master"
        result = download.present(request(model.lock(hub), dest, mirrors=[mirror], connections=2), ledger)
        assert hub.bytes_sent() + wrong.bytes_sent() < model.size_bytes + 3 * len(model.shards[1])
    assert dest.read_bytes() == model.merged
    assert leftovers(dest) == []
    assert result.changed


def test_a_wish_to_be_left_alone_is_honoured_to_the_second(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, Fault("status", code=429, retry_after="3", times=1)) as hub:
        began = time.monotonic()
        download.present(request(model.lock(hub), dest), ledger)
        assert 3.0 <= time.monotonic() - began < 10
    assert dest.read_bytes() == model.merged


def test_all_connections_together_keep_the_rate_limit(model: Model, dest: Path, ledger: Ledger) -> None:
    pace = Pace(limit=RateLimit(parse_rate("6MiB/s")))
    with served(model) as hub:
        began = time.monotonic()
        download.present(request(model.lock(hub), dest, pace=pace), ledger)
        assert time.monotonic() - began >= 0.9 * model.size_bytes / (6 * MIB)
    assert dest.read_bytes() == model.merged


def test_outside_of_its_hours_nothing_moves_and_that_is_said(model: Model, dest: Path, ledger: Ledger) -> None:
    moment = datetime.datetime(2026, 11, 22, 21, 59)
    pace = Pace(window=TimeWindow.parse("22:00-06:00"), clock=lambda: moment)
    seen = []

    def watch(status: Status) -> None:
        nonlocal moment
        if status.phase == "pause":
            seen.append((status.message, hub.bytes_sent()))
        if len(seen) == 4:
            moment = datetime.datetime(2026, 11, 22, 22, 0)

    with served(model) as hub:
        download.present(request(model.lock(hub), dest, pace=pace), ledger, tick=watch)
    assert seen[0][0] == "waits for 22:00-06:00"
    assert max(sent for _message, sent in seen) < 64 * 1024
    assert dest.read_bytes() == model.merged


def test_check_mode_says_from_where_and_how_long_at_the_last_rate(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model) as hub:
        wanted = request(model.lock(hub), dest)
        first = download.present(wanted, ledger, check=True)
        assert first.expected_seconds is None
        assert first.sources == {hub.url: model.size_bytes}
        lock = model.lock(hub)
        for name, pace in (("z.gguf", Pace()), ("a.gguf", Pace(limit=RateLimit(6.0 * MIB)))):
            lock = another(lock)
            download.present(request(lock, dest.with_name(name), pace=pace), ledger)
        second = download.present(wanted, ledger, check=True)
    assert second.expected_seconds == pytest.approx(model.size_bytes / (6 * MIB), rel=0.3)
    assert "take about 3 s at the rate of the last download" in second.actions[-1]
    assert not dest.exists()


@pytest.fixture(name="larger", scope="module")
def a_larger_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return make_model(tmp_path_factory.mktemp("larger"), shard_bytes=30 * MIB)


def test_auto_takes_more_connections_where_each_of_them_has_its_own_limit(
    larger: Model, dest: Path, ledger: Ledger
) -> None:
    with served(larger, Fault("slow", bytes_per_second=1_500_000)) as hub:
        download.present(request(larger.lock(hub), dest, connections=None, timeout_seconds=10), ledger)
        assert hub.max_connections >= 16
    assert dest.read_bytes() == larger.merged


def test_auto_takes_no_more_connections_from_a_server_that_is_busy(larger: Model, dest: Path, ledger: Ledger) -> None:
    busy = Fault("status", "*.gguf", code=429, times=2, retry_after="0")
    with served(larger, Fault("slow", bytes_per_second=5_000_000)) as hub:

        def be_busy(status: Status) -> None:
            if status.phase == "download" and not hub.faults.has_any(["status"]):
                hub.inject(busy)

        wanted = request(larger.lock(hub), dest, connections=None, timeout_seconds=10)
        download.present(wanted, ledger, tick=be_busy)
        assert hub.max_connections < 16
    assert dest.read_bytes() == larger.merged


def test_a_mirror_that_is_down_costs_nothing_but_a_note(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model) as hub:
        download.present(request(model.lock(hub), dest, mirrors=["http://127.0.0.1:9/models"]), ledger)
    assert dest.read_bytes() == model.merged


def test_the_token_stays_with_the_hub_when_it_redirects(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, cdn=True, token="secret") as hub:
        download.present(request(model.lock(hub), dest, token="secret"), ledger)
        at_cdn = [seen for seen in hub.requests if seen.listener == "cdn"]
    assert at_cdn
    assert not any({"authorization", "cookie"} & set(seen.headers) for seen in at_cdn)
    assert dest.read_bytes() == model.merged


def test_a_missing_token_is_said_to_be_missing(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, token="secret") as hub, pytest.raises(TransferError) as caught:
        download.present(request(model.lock(hub), dest), ledger)
    assert caught.value.reason == "unauthorized"
    assert "token" in caught.value.remedy


def test_a_password_in_an_address_is_used_and_never_shown(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, basic_auth="ann:s3cret") as hub:
        lock = model.lock(hub)
        for file in lock["files"]:
            file["url"] = file["url"].replace("http://", "http://ann:s3cret@")
        seen = []
        result = download.present(request(lock, dest), ledger, tick=lambda status: seen.append(repr(status)))
        hub.inject(Fault("status", code=403))
        with pytest.raises(TransferError) as caught:
            download.present(request(another(lock), dest.with_name("again.gguf")), ledger)
    assert dest.read_bytes() == model.merged
    assert "s3cret" not in repr(result) + "".join(seen) + str(caught.value)


def test_ipv6_is_an_address_like_any_other(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, host="::1") as hub:
        download.present(request(model.lock(hub), dest), ledger)
    assert dest.read_bytes() == model.merged


def test_a_server_without_ranges_is_said_to_be_one(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model, Fault("no_range")) as hub:
        result = download.present(request(model.lock(hub), dest), ledger)
    assert any("knows no ranges" in action for action in result.actions)


@pytest.mark.parametrize("gap", [b"\0", b"\xaa"], ids=["zeros", "other bytes"])
def test_gaps_between_tensors_count_for_the_shards_sums_whatever_is_in_them(gap: bytes, tmp_path: Path) -> None:
    model = make_model(tmp_path / "hub", gap=gap)
    dest = tmp_path / "models" / "tiny.gguf"
    with served(model) as hub:
        download.present(request(model.lock(hub), dest), Ledger(str(tmp_path / "ledger.json")))
    assert dest.read_bytes() == model.merged


def test_shards_are_fetched_as_they_are(model: Model, tmp_path: Path, ledger: Ledger) -> None:
    with served(model, Fault("reset", after_bytes=2_000_000)) as hub:
        wanted = request(model.lock(hub), tmp_path / "shards", layout="shards")
        result = download.present(wanted, ledger)
    assert [Path(path).read_bytes() for path in result.paths] == model.shards
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == [Path(path).name for path in model.paths]


def test_a_directory_is_a_source_like_a_hub(model: Model, dest: Path, ledger: Ledger) -> None:
    result = download.present(request(model.lock(), dest), ledger)
    assert dest.read_bytes() == model.merged
    assert result.bytes_moved == model.size_bytes


def test_a_shard_missing_from_the_directory_is_fetched_from_the_hub(
    model: Model, dest: Path, ledger: Ledger, tmp_path: Path
) -> None:
    share = tmp_path / "share" / "Q1"
    share.mkdir(parents=True)
    for path, content in list(zip(model.paths, model.shards))[:2]:
        (share.parent / path).write_bytes(content)
    with served(model) as hub:
        download.present(request(model.lock(hub), dest, mirrors=[str(share.parent)]), ledger)
        assert hub.bytes_sent(model.paths[2]) == len(model.shards[2])
    assert dest.read_bytes() == model.merged


def test_a_second_run_moves_and_reads_nothing(model: Model, dest: Path, ledger: Ledger) -> None:
    with served(model) as hub:
        download.present(request(model.lock(hub), dest), ledger)
        hub.reset_counters()
        result = download.present(request(model.lock(hub), dest), ledger)
        assert not result.changed
        assert not hub.requests
