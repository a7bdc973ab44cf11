# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A listing is hostile input."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import listed_file, refuse_duplicates
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.tests.builders.listings import listed


@pytest.mark.parametrize(
    "path",
    [
        "../../x",
        "a/../../x",
        "/etc/passwd",
        "a//b",
        "./a",
        "a/.",
        "",
        None,
        7,
        "a\\..\\b",
        "C:x",
        "a\nb",
        "a\x00b",
        "a\x1b[31m",
        "a\u2028User=root\u2028.gguf",
        "a\u2029b",
        "a\u0085b",
        "a\x9bb",
        "a\u202eb",
        "a\u200bb",
        "a\u00a0b",
        "a\ud800b",
        "x" * 2000,
    ],
)
def test_a_path_that_leaves_its_folder_or_plays_tricks_is_refused(path: Any) -> None:
    with pytest.raises(HubProblem) as error:
        listed_file(path, 1, None, "https://hub.test/x", where="a/b")
    assert "would lie outside" in error.value.problem
    assert all(character.isprintable() for character in str(error.value))


@pytest.mark.parametrize("path", ["a.gguf", "Q1/a b.gguf", "模型/甲.gguf", "..a/b..", "...", "a/...b"])
def test_a_decent_path_is_taken(path: str) -> None:
    assert listed_file(path, 1, None, "https://hub.test/x", where="a/b").path == path


@pytest.mark.parametrize("size", [-1, pytest.param(10**5000, id="5,000 digits"), 1 << 60, "12", 1.5, True, [1]])
def test_a_size_that_is_no_size_is_refused(size: Any) -> None:
    with pytest.raises(HubProblem, match="the size"):
        listed_file("a", size, None, "https://hub.test/x", where="a/b")


@pytest.mark.parametrize("digest", ["12", "g" * 64, 12, "a" * 63 + "\n", "a" * 65])
def test_a_checksum_that_is_no_sha256_is_refused(digest: Any) -> None:
    with pytest.raises(HubProblem, match="which is not a sha256"):
        listed_file("a", 1, digest, "https://hub.test/x", where="a/b")


def test_an_untold_sum_is_none_and_capital_letters_are_the_same_sum() -> None:
    assert listed_file("a", 1, "", "https://hub.test/x", where="a/b").sha256 is None
    assert listed_file("a", 1, "A" * 64, "https://hub.test/x", where="a/b").sha256 == "a" * 64


def test_one_path_twice_is_refused() -> None:
    with pytest.raises(HubProblem, match="twice"):
        refuse_duplicates([listed("b"), listed("a"), listed("b", 7)], where="a/b")
