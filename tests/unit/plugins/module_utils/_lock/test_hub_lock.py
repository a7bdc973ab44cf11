# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks from files are hostile input, and answer requests without a hub."""

from __future__ import annotations

import copy
from typing import Any, Dict, Iterator, List, Optional, Tuple

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock, difference
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import Request
from ansible_collections.gguf.fleet.tests.builders.listings import MIB, a_lock

SUM = "a" * 64


def sealed(pieces: int = 2, piece_bytes: int = 64 * MIB, digest: Any = SUM) -> Dict[str, Any]:
    lock = a_lock()
    lock["seal"] = {"piece_bytes": piece_bytes, "pieces": {file["path"]: [digest] * pieces for file in lock["files"]}}
    return lock


def test_a_good_lock_is_returned_as_it_is() -> None:
    lock = a_lock()
    assert check_lock(lock) is lock
    assert check_lock(sealed())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lock_version": 2}, "version 2; this collection knows version 1"),
        ({"lock_version": "1"}, "version"),
        ({"hub": "gopher"}, "the hub 'gopher'"),
        ({"repo": 5}, "the repository 5"),
        ({"repo": ".."}, "the repository '..'"),
        ({"repo": "../../etc"}, "the repository '../../etc'"),
        ({"repo": "a/b\u2028User=root"}, "the repository"),
        ({"quant": None}, "the quant None"),
        ({"quant": "../x"}, "the quant '../x'"),
        ({"quant": "a\u0085b"}, "the quant"),
        ({"revision": "../x"}, "the revision '../x'"),
        ({"commit": "a\u202eb"}, "the commit"),
        ({"endpoint": "file:///etc"}, "the endpoint"),
        ({"endpoint": "https://hub.test/\x1b[2J"}, "the endpoint"),
        ({"hub": "path"}, "the endpoint"),
        ({"files": []}, "no files"),
        ({"files": {"a": 1}}, "no files"),
        ({"files": ["x"]}, "the path 'x'"),
        ({"gguf": None}, "no facts"),
        ({"merged": None}, "how large the merged file is"),
        ({"merged": {"size_bytes": -1}}, "without a size"),
        ({"merged": {"size_bytes": 1, "sha256": "x"}}, "merged file with the sha256"),
        ({"seal": []}, "seal without pieces"),
        ({"files": [{**a_lock()["files"][0], "header_sha256": "5"}]}, "gives the header of .* the sha256 '5'"),
    ],
)
def test_a_lock_with_a_bad_field_is_refused_by_name(change: Dict[str, Any], message: str) -> None:
    with pytest.raises(HubProblem, match=message) as error:
        check_lock(a_lock(**change))
    assert "update: true" in error.value.remedy


@pytest.mark.parametrize("lock", [None, [], "lock", 3])
def test_something_that_is_no_mapping_is_refused(lock: Any) -> None:
    with pytest.raises(HubProblem, match="not a mapping"):
        check_lock(lock)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("path", "../../x", r"\.\./\.\./x"),
        ("path", "/etc/passwd", "/etc/passwd"),
        ("size_bytes", "5", "the size"),
        ("size_bytes", True, "the size"),
        ("size_bytes", 1 << 60, "the size"),
        ("sha256", "no", "the sha256"),
        ("path", "a\u2028ExecStart=x.gguf", "the path"),
        ("path", "shadow", "no GGUF file"),
        ("url", "ftp://x/y", "the address"),
        ("url", "file:///etc/shadow", "the address"),
        ("url", "https://hub.test/\u2028", "the address"),
        ("url", None, "the address"),
        ("header_bytes", 1 << 40, "a header of"),
        ("header_bytes", None, "a header of"),
    ],
)
def test_a_file_with_a_bad_field_is_refused(field: str, value: Any, message: str) -> None:
    lock = a_lock()
    lock["files"][1][field] = value
    with pytest.raises(HubProblem, match=message):
        check_lock(lock)


def test_two_files_that_would_overwrite_each_other_are_refused() -> None:
    lock = a_lock()
    lock["files"][1]["path"] = "other/" + lock["files"][0]["path"].rpartition("/")[2]
    with pytest.raises(HubProblem, match="two files of the same name"):
        check_lock(lock)


@pytest.mark.parametrize(
    "lock",
    [sealed(pieces=1), sealed(pieces=3), sealed(piece_bytes=0), sealed(piece_bytes=True), sealed(digest="x")],
)
def test_a_seal_that_does_not_cover_the_files_is_refused(lock: Dict[str, Any]) -> None:
    with pytest.raises(HubProblem, match=r"The lock (needs|is sealed)"):
        check_lock(lock)


def test_a_seal_of_other_files_is_refused() -> None:
    lock = sealed()
    lock["seal"]["pieces"]["other.gguf"] = [SUM]
    with pytest.raises(HubProblem, match="for other files"):
        check_lock(lock)


def places(value: Any, path: Tuple[Any, ...] = ()) -> Iterator[Tuple[Any, ...]]:
    """The way to each value in a nested structure."""
    if path:
        yield path
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield from places(value[key], (*path, key))


NUMBERS: List[Any] = [True, -1, 0, 1 << 70, 1.5]
TEXTS: List[Any] = ["", "../x", "\x00", "x" * 5000, "http://[", "http://host:99999/x"]
HOSTILE: List[Any] = [None, *NUMBERS, *TEXTS, [], {}, [[]], {"a": []}, ["a", 1]]


def test_whatever_stands_in_a_lock_is_taken_or_refused_with_a_remedy() -> None:
    refused = 0
    for place in places(sealed()):
        for value in HOSTILE:
            lock = copy.deepcopy(sealed())
            inner: Any = lock
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
            try:
                check_lock(lock)
            except HubProblem:
                refused += 1
                continue
            assert not any(isinstance(file["size_bytes"], (bool, str)) for file in lock["files"])
            assert all(".." not in file["path"].split("/") for file in lock["files"])
    assert refused > 200


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"quant": "UD-IQ1_S"}, None),
        ({"quant": "IQ1_S"}, None),
        ({"pattern": "*UD-IQ1_S*"}, None),
        ({}, None),
        ({"revision": "master"}, None),
        ({"revision": "a" * 40}, None),
        ({"endpoint": "https://me:s3cret@hub.test/"}, None),
        ({"quant": "UD-IQ1_M"}, "UD-IQ1_M instead of UD-IQ1_S"),
        ({"pattern": "*Q2_K*"}, "instead of UD-IQ1_S"),
        ({"revision": "v2"}, "revision v2 instead of master"),
        ({"endpoint": "https://other.test"}, "endpoint https://other.test instead of https://hub.test"),
        ({"repo": "other/Repo"}, "repository other/Repo instead of"),
        ({"hub": "huggingface"}, "hub huggingface instead of modelscope"),
    ],
)
def test_a_lock_knows_which_requests_it_answers(asked: Dict[str, Any], expected: Optional[str]) -> None:
    request = Request(**{"hub": "modelscope", "repo": "unsloth/DeepSeek-R1-GGUF", **asked})
    told = difference(a_lock(), request)
    assert told is None if expected is None else expected in str(told)


def test_everything_of_a_source_that_differs_from_its_lock_is_named() -> None:
    request = Request(hub="modelscope", repo="other/Repo", revision="v2", quant="UD-IQ1_M")
    told = str(difference(a_lock(), request))
    assert [word in told for word in ("repository other/Repo", "revision v2", "UD-IQ1_M instead")] == [True] * 3


def test_another_folder_and_another_sum_are_differences() -> None:
    lock = a_lock(hub="path", repo=None, revision=None, commit=None, endpoint="file:///srv/old")
    file = lock["files"][0]["path"]
    assert difference(lock, Request(hub="path", path="/srv/old")) is None
    moved = Request(hub="path", path="/srv/new", sha256={file: "0" * 64})
    told = str(difference(lock, moved))
    assert "path /srv/new instead of file:///srv/old" in told
    assert f"the sha256 of {file} {'0' * 64} instead of" in told


def test_plain_addresses_are_compared_without_credentials_and_order() -> None:
    lock = a_lock(hub="url", repo=None, endpoint="https://hub.test")
    urls = tuple(file["url"].replace("https://", "https://me:pw@") for file in reversed(lock["files"]))
    assert difference(lock, Request(hub="url", urls=urls)) is None
    assert difference(lock, Request(hub="url", urls=(lock["files"][0]["url"],))) is None
    assert difference(lock, Request(hub="url", urls=("https://hub.test/other.gguf",))) == "other addresses"


def test_a_lock_with_the_tail_padding_of_an_earlier_release_is_still_read() -> None:
    merged = a_lock()["merged"]
    check_lock(a_lock(merged={**merged, "tail_padding_bytes": 28}))
