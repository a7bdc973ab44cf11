# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub double fails in the ways that it promises, seen from a plain HTTP client."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Dict, Iterator, Optional, Tuple

import pytest

from ansible_collections.gguf.fleet.tests.doubles.hub.faults import Fault
from ansible_collections.gguf.fleet.tests.doubles.hub.server import HubDouble

REPO = "lab/Tiny-GGUF"
PATH = "Q1/tiny-00001-of-00002.gguf"
CONTENT = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture(name="hub")
def a_hub(tmp_path: Path) -> Iterator[HubDouble]:
    folder = tmp_path / REPO / "Q1"
    folder.mkdir(parents=True)
    (folder / "tiny-00001-of-00002.gguf").write_bytes(CONTENT)
    (folder / "tiny-00002-of-00002.gguf").write_bytes(CONTENT[::-1])
    with HubDouble(tmp_path) as hub:
        yield hub


def get(url: str, headers: Optional[Dict[str, str]] = None) -> Tuple[int, http.client.HTTPMessage, bytes]:
    """One GET without following redirects."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def listing(hub: HubDouble) -> Dict[str, Dict[str, object]]:
    url = f"{hub.url}/api/v1/models/{REPO}/repo/files?Revision=master&Recursive=True"
    entries = json.loads(get(url)[2])["Data"]["Files"]
    return {entry["Path"]: entry for entry in entries if entry["Type"] == "blob"}


def test_a_file_comes_whole_with_its_sums_and_size(hub: HubDouble) -> None:
    status, headers, body = get(hub.file_url(REPO, PATH))
    assert (status, body) == (200, CONTENT)
    assert headers["X-Linked-ETag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    assert listing(hub)[PATH]["Sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert listing(hub)[PATH]["Size"] == len(CONTENT)


@pytest.mark.parametrize(
    ("asked", "status", "content_range", "expected"),
    [
        ("bytes=10-19", 206, "bytes 10-19/1048576", CONTENT[10:20]),
        ("bytes=1048570-", 206, "bytes 1048570-1048575/1048576", CONTENT[-6:]),
        ("bytes=-4", 206, "bytes 1048572-1048575/1048576", CONTENT[-4:]),
        ("bytes=1048570-9999999", 206, "bytes 1048570-1048575/1048576", CONTENT[-6:]),
        ("bytes=1048576-", 416, "bytes */1048576", b""),
    ],
)
def test_ranges_are_served_exactly(
    hub: HubDouble, asked: str, status: int, content_range: str, expected: bytes
) -> None:
    answer = get(hub.file_url(REPO, PATH), {"Range": asked})
    assert (answer[0], answer[1]["Content-Range"], answer[2]) == (status, content_range, expected)


def test_a_changed_entity_tag_gives_the_whole_file_for_if_range_and_412_for_if_match(hub: HubDouble) -> None:
    url = hub.file_url(REPO, PATH)
    assert get(url, {"Range": "bytes=5-9", "If-Range": '"other"'})[0] == 200
    assert get(url, {"Range": "bytes=5-9", "If-Match": '"other"'})[0] == 412
    assert get(url, {"Range": "bytes=5-9", "If-Match": get(url)[1]["ETag"]})[0] == 206


def test_a_flipped_byte_comes_once_or_always_and_only_at_its_offset(hub: HubDouble) -> None:
    url = hub.file_url(REPO, PATH)
    hub.inject(Fault("flip", "*00001*", offset=700_000, times=1))
    assert get(url, {"Range": "bytes=0-9"})[2] == CONTENT[:10]
    flipped = get(url)[2]
    assert [at for at in range(len(CONTENT)) if flipped[at] != CONTENT[at]] == [700_000]
    assert get(url)[2] == CONTENT
    assert hub.faults.acted("flip") == 1


def test_a_reset_comes_after_so_many_bytes_over_all_connections(hub: HubDouble) -> None:
    hub.inject(Fault("reset", after_bytes=300_000))
    for _attempt in range(2):
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            get(hub.file_url(REPO, PATH))
    assert 600_000 <= hub.bytes_sent(PATH) < 600_000 + 2 * 65536 + 1


def test_a_truncated_body_is_shorter_than_content_length(hub: HubDouble) -> None:
    hub.inject(Fault("truncate", times=1, after_bytes=1000))
    with pytest.raises(http.client.IncompleteRead) as error:
        get(hub.file_url(REPO, PATH))
    assert len(error.value.partial) == 1000
    assert get(hub.file_url(REPO, PATH))[2] == CONTENT


def test_a_stall_ends_only_after_its_seconds(hub: HubDouble) -> None:
    hub.inject(Fault("stall", times=1, after_bytes=1000, seconds=0.3))
    began = time.monotonic()
    assert get(hub.file_url(REPO, PATH))[2] == CONTENT
    assert time.monotonic() - began >= 0.3


def test_busy_answers_come_in_runs_and_say_when_to_come_back(hub: HubDouble) -> None:
    hub.inject(Fault("status", "*.gguf", times=2, code=429, retry_after="7"))
    answers = [get(hub.file_url(REPO, PATH)) for _attempt in range(3)]
    assert [(status, headers["Retry-After"]) for status, headers, _body in answers] == [
        (429, "7"),
        (429, "7"),
        (200, None),
    ]


def test_an_ignored_range_a_shifted_range_and_a_wrong_length(hub: HubDouble) -> None:
    url = hub.file_url(REPO, PATH)
    hub.inject(
        Fault("no_range", times=1), Fault("content_range", times=1, delta=16), Fault("length", times=1, delta=-5)
    )
    assert get(url, {"Range": "bytes=5-9"})[0] == 200
    shifted = get(url, {"Range": "bytes=0-15"})
    assert (shifted[1]["Content-Range"], len(shifted[2])) == ("bytes 16-31/1048576", 16)
    hub.inject(Fault("length", times=1, delta=-5))
    assert len(get(url)[2]) == len(CONTENT) - 5


def test_compressed_bodies_and_login_pages_are_served_although_nobody_asked(hub: HubDouble) -> None:
    url = hub.file_url(REPO, PATH)
    hub.inject(Fault("gzip", times=1))
    _status, headers, body = get(url, {"Range": "bytes=0-9999"})
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == CONTENT[:10000]
    hub.inject(Fault("html", times=1))
    assert get(url)[1]["Content-Type"].startswith("text/html")


def test_another_file_stands_behind_the_address_in_mid_download(hub: HubDouble) -> None:
    url = hub.file_url(REPO, PATH)
    hub.inject(Fault("replace", after_bytes=500_000))
    _status, before, first = get(url, {"Range": "bytes=0-599999"})
    _status, after, second = get(url, {"Range": "bytes=0-599999"})
    assert first == CONTENT[:600_000]
    assert second == bytes(value ^ 0x5A for value in first)
    assert before["ETag"] != after["ETag"]
    assert before["X-Linked-ETag"] != after["X-Linked-ETag"]
    assert listing(hub)[PATH]["Sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_a_slow_connection_is_slow_and_two_are_twice_as_quick(hub: HubDouble) -> None:
    hub.inject(Fault("slow", bytes_per_second=2_000_000))
    began = time.monotonic()
    get(hub.file_url(REPO, PATH))
    assert 0.4 < time.monotonic() - began < 2


def test_a_redirect_leads_to_another_host_that_refuses_a_token_and_old_addresses(
    tmp_path: Path, hub: HubDouble
) -> None:
    hub.inject(Fault("redirect"), Fault("expire", seconds=0.2))
    status, headers, _body = get(hub.file_url(REPO, PATH))
    assert status == 302
    location = headers["Location"]
    assert urllib.parse.urlsplit(location).netloc != urllib.parse.urlsplit(hub.url).netloc
    assert get(location)[2] == CONTENT
    assert get(location, {"Authorization": "Bearer secret"})[0] == 400
    time.sleep(0.25)
    assert get(location)[0] == 403


def test_the_listing_lies_about_size_sum_and_path(hub: HubDouble) -> None:
    hub.inject(
        Fault("listing", "*00001*", size_bytes=12, sha256="0" * 64), Fault("listing", "*00002*", rename="../../x")
    )
    assert listing(hub)[PATH]["Size"] == 12
    assert listing(hub)[PATH]["Sha256"] == "0" * 64
    assert "../../x" in listing(hub)


def test_a_token_is_demanded_everywhere_but_at_the_second_host(tmp_path: Path) -> None:
    (tmp_path / REPO).mkdir(parents=True)
    (tmp_path / REPO / "a.gguf").write_bytes(b"abc")
    with HubDouble(tmp_path, token="secret", cdn=True) as hub:
        url = hub.file_url(REPO, "a.gguf")
        assert get(url)[0] == 401
        assert get(url, {"Authorization": "Bearer secret"})[0] == 302
        assert get(url, {"Cookie": "m_session_id=secret"})[0] == 302
        assert get(get(url, {"Authorization": "Bearer secret"})[1]["Location"])[2] == b"abc"


@pytest.mark.parametrize(
    "path", ["/releases/../lab/secret", "/../../etc/passwd", "/models/lab/Tiny/resolve/master/../x"]
)
def test_nothing_outside_the_offered_folders_is_served(hub: HubDouble, path: str) -> None:
    assert get(hub.url + path)[0] == 404


def test_another_revision_lies_in_a_folder_of_its_own_and_has_its_own_commit(tmp_path: Path, hub: HubDouble) -> None:
    tagged = tmp_path / (REPO + "@v1") / "Q1"
    tagged.mkdir(parents=True)
    (tagged / "tiny-00001-of-00002.gguf").write_bytes(b"older")
    assert get(hub.file_url(REPO, PATH, "v1"))[2] == b"older"
    commits = {get(hub.file_url(REPO, PATH, revision))[1]["X-Repo-Commit"] for revision in ("v1", "master")}
    assert len(commits) == 2
    older = next(commit for commit in commits if get(hub.file_url(REPO, PATH, commit))[2] == b"older")
    assert older == get(hub.file_url(REPO, PATH, "v1"))[1]["X-Repo-Commit"]


def test_the_program_serves_releases_and_is_driven_from_outside(tmp_path: Path) -> None:
    (tmp_path / "releases" / "v0.5.7").mkdir(parents=True)
    (tmp_path / "releases" / "v0.5.7" / "asset.tgz").write_bytes(b"archive")
    serve = Path(sys.modules[HubDouble.__module__].__file__ or "").with_name("serve.py")
    program = subprocess.Popen(
        [sys.executable, str(serve), "--root", str(tmp_path), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout is not None
        url = program.stdout.readline().split()[-1]
        asset = f"{url}/releases/v0.5.7/asset.tgz"
        assert get(asset)[2] == b"archive"
        faults = json.dumps([{"kind": "status", "path": "releases/*", "times": 1}]).encode()
        urllib.request.urlopen(urllib.request.Request(f"{url}/_admin/faults", faults), timeout=10).close()
        assert [get(asset)[0] for _attempt in range(2)] == [503, 200]
        assert json.loads(get(f"{url}/_admin/counters")[2])["bytes"] == {"releases/v0.5.7/asset.tgz": 14}
    finally:
        program.terminate()
        program.wait(10)


def test_it_speaks_tls_with_a_certificate_of_its_own(hub: HubDouble, certificate: Tuple[Path, Path]) -> None:
    pem, authority = certificate
    with HubDouble(hub.catalog.root, certificate=pem) as tls:
        url = tls.file_url(REPO, PATH).replace("127.0.0.1", "localhost")
        context = ssl.create_default_context(cafile=str(authority))
        with urllib.request.urlopen(url, timeout=10, context=context) as answer:
            assert answer.read() == CONTENT
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(url, timeout=10)


def test_it_listens_on_ipv6(hub: HubDouble) -> None:
    with HubDouble(hub.catalog.root, host="::1") as six:
        assert six.url.startswith("http://[::1]:")
        assert get(six.file_url(REPO, PATH))[2] == CONTENT
