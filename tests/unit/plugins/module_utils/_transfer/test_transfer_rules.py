# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rates, hours, runs of blocks, URLs in messages, and what is shown when."""

from __future__ import annotations

import datetime
from typing import Optional

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._http.answer import retry_after_seconds
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import SourceError, TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import Secrets, origin_of, shown_url
from ansible_collections.gguf.fleet.plugins.module_utils._http.proxy import proxy_for
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import progress
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.journal import MISSING, SYNCED, WRITTEN
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network import pacing, sources
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.scheduler import Scheduler
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import LockedFile, plan_shards

MIB = 1 << 20


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("200MiB/s", 200 * MIB),
        ("50MB/s", 50_000_000),
        ("1.5 GiB/s", 1.5 * 1024 * MIB),
        ("800k", 800_000),
        ("4096", 4096),
    ],
)
def test_rates_are_read_with_their_units(text: str, rate: float) -> None:
    assert pacing.parse_rate(text) == rate


@pytest.mark.parametrize("text", ["fast", "-3MB/s", "0", "12 parsecs", "MB/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(TransferError, match="200MiB/s"):
        pacing.parse_rate(text)


def test_the_limit_holds_over_all_who_draw_from_it() -> None:
    now = 0.0
    limit = pacing.RateLimit(1000.0, lambda: now)
    got = 0
    while now < 10.0:
        granted, pause = limit.take(700)
        got += granted
        now += pause if not granted else 0.0
    assert 9_000 <= got <= 10_100


@pytest.mark.parametrize(
    ("window", "hour", "is_open"),
    [
        ("22:00-06:00", 23, True),
        ("22:00-06:00", 3, True),
        ("22:00-06:00", 6, False),
        ("22:00-06:00", 12, False),
        ("09:00-17:00", 9, True),
        ("09:00-17:00", 17, False),
        ("22:00-24:00", 23, True),
        ("22:00-24:00", 0, False),
    ],
)
def test_hours_may_reach_over_midnight(window: str, hour: int, is_open: bool) -> None:
    assert pacing.TimeWindow.parse(window).is_open(datetime.time(hour)) is is_open


@pytest.mark.parametrize("text", ["night", "25:00-06:00", "22-6", "22:00"])
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(TransferError, match="22:00-06:00"):
        pacing.TimeWindow.parse(text)


def scheduler(states: bytes) -> Scheduler:
    files = [{"path": "a", "size_bytes": 6 * MIB, "url": "u"}, {"path": "b", "size_bytes": 6 * MIB, "url": "u"}]
    return Scheduler(plan_shards({"files": files}, "/d"), states)


def test_runs_end_with_the_file_and_at_what_is_there_already() -> None:
    plan = scheduler(bytes([MISSING] * 3 + [WRITTEN] + [MISSING] * 8))
    runs = []
    while True:
        span = plan.take(4)
        if span is None:
            break
        runs.append((span.file, span.next, span.end))
    assert runs == [(0, 0, 3), (0, 4, 6), (1, 6, 10), (1, 10, 12)]


def test_what_is_given_back_is_handed_out_again_first() -> None:
    plan = scheduler(bytes(12))
    first, second = plan.take(2), plan.take(2)
    assert first is not None and second is not None
    plan.advance(first)
    plan.take_back(first)
    again = plan.take(4)
    assert again is not None
    assert (again.next, again.end) == (1, 2)


def test_a_slow_connection_gets_help_at_the_end_and_a_quick_one_does_not() -> None:
    plan = scheduler(bytes([SYNCED] * 6 + [MISSING] * 6))
    span, other = plan.take(6), plan.take(6)
    assert span is not None and other is not None
    assert plan.take(6) is None
    end, span.seconds_per_block = span.end, 3.0
    help_span = plan.take(6)
    assert help_span is not None
    assert help_span.end == end
    assert span.next < span.end == help_span.next


def test_it_is_finished_when_every_block_is_there_and_not_before() -> None:
    plan = scheduler(bytes([SYNCED] * 11 + [MISSING]))
    span = plan.take(1)
    assert span is not None and not plan.finished
    plan.advance(span)
    assert plan.finished
    plan.lose([4])
    assert not plan.finished


def test_messages_show_no_password_and_no_signature() -> None:
    shown = shown_url("https://ann:s3cret@cdn.example/a/b.gguf?Expires=1&Signature=abc")
    assert shown == "https://cdn.example/a/b.gguf?…"


@pytest.mark.parametrize("url", ["ftp://host/x", "host/x", "http:///x", "http://host:port/x"])
def test_what_is_no_http_address_is_refused_by_name(url: str) -> None:
    with pytest.raises(SourceError, match="not an http or https address"):
        origin_of(url)


@pytest.mark.parametrize(
    ("host", "exceptions", "proxied"),
    [
        ("hub.example", "", True),
        ("hub.example", "other.example", True),
        ("hub.example", ".example", False),
        ("hub.example", "hub.example:8080", False),
        ("10.1.2.3", "10.0.0.0/8", False),
        ("fd00::5", "fd00::/8", False),
        ("hub.example", "*", False),
    ],
)
def test_no_proxy_holds_names_suffixes_and_networks(
    host: str, exceptions: str, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("http_proxy", "proxy.example:3128")
    monkeypatch.setenv("no_proxy", exceptions)
    expected: Optional[str] = "http://proxy.example:3128" if proxied else None
    assert proxy_for("http", host, 8080) == expected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120.0), ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0), ("soon", None), (None, None)],
)
def test_retry_after_is_a_number_or_a_date(value: Optional[str], seconds: Optional[float]) -> None:
    assert retry_after_seconds(value, now=60.0) == seconds


@pytest.mark.parametrize(
    ("mirror", "url"),
    [
        ("https://m.example/x/", "https://m.example/x/Q%201/a.gguf"),
        ("https://m.example/{repo}/{revision}/{name}", "https://m.example/o/r/main/a.gguf"),
        ("/mnt/models", "/mnt/models/Q 1/a.gguf"),
        ("/mnt/{repo}/{name}", "/mnt/o/r/a.gguf"),
    ],
)
def test_a_mirror_is_a_place_or_a_pattern(mirror: str, url: str) -> None:
    lock = {"repo": "o/r", "revision": "main"}
    file = LockedFile("Q 1/a.gguf", 1, None, "")
    assert sources.mirror_source(mirror, [file], lock, sources.Access()).urls == (url,)


def test_a_mirror_gets_no_token_and_no_headers_even_at_the_origin_of_the_hub() -> None:
    file = LockedFile("a.gguf", 1, None, "")
    access = sources.Access(Secrets(("http", "m", 80), "t", {"X-Key": "k"}))
    assert sources.mirror_source("http://m", [file], {}, access).access.secrets == Secrets()


def test_a_line_says_phase_share_rate_and_time_left() -> None:
    status = progress.Status("download", 50 << 30, 200 << 30, rate_bytes_per_second=100 * MIB, eta_seconds=1536.0)
    assert status.line() == "download 25 %, 50.0 GiB of 200.0 GiB, 100.0 MiB/s, 25 min 36 s left"
