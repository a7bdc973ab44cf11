# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a version to its archives, their checksums and where they come from; nothing here needs a network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._install import checksums, resolve
from ansible_collections.gguf.fleet.plugins.module_utils._install.assets import ollama_assets, place
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.tests.builders.archives import ollama_tree, tgz

URL = "https://mirror.example/v{version}/{asset}"
NAME = "ollama-linux-amd64.tgz"
A, B, C = "a" * 64, "b" * 64, "c" * 64
NAMES = [
    ("0.5.7", "amd64", [], [NAME]),
    ("0.5.7", "amd64", ["rocm"], [NAME, "ollama-linux-amd64-rocm.tgz"]),
    ("0.5.7", "arm64", ["jetpack5"], ["ollama-linux-arm64.tgz", "ollama-linux-arm64-jetpack5.tgz"]),
    ("0.13.5", "arm64", ["jetpack6"], ["ollama-linux-arm64.tgz", "ollama-linux-arm64-jetpack6.tgz"]),
    ("0.14.0", "amd64", [], ["ollama-linux-amd64.tar.zst"]),
    ("0.14.0-rc2", "amd64", [], ["ollama-linux-amd64.tar.zst"]),
    ("0.33.2", "amd64", ["rocm"], ["ollama-linux-amd64.tar.zst", "ollama-linux-amd64-rocm.tar.zst"]),
    ("0.33.2", "arm64", ["jetpack6"], ["ollama-linux-arm64.tar.zst", "ollama-linux-arm64-jetpack6.tar.zst"]),
]
REFUSED = [
    ("s390x", [], "no release for s390x"),
    ("arm64", ["rocm"], "no rocm for arm64, only jetpack5, jetpack6"),
    ("amd64", ["jetpack6"], "no jetpack6 for amd64, only rocm"),
]


def plan(releases: Any = (), zstd: bool = True, **options: Any) -> resolve.Plan:
    given = {"engine": "ollama", "version": "0.5.7", "source_url": URL, **options}
    return resolve.plan(resolve.Wanted(**given), resolve.Host("amd64", zstd, releases))


@pytest.mark.parametrize(("version", "architecture", "addons", "names"), NAMES)
def test_the_archives_of_a_version_an_architecture_and_its_add_ons(
    version: str, architecture: str, addons: list[str], names: list[str]
) -> None:
    assert ollama_assets(version, architecture, addons) == names


@pytest.mark.parametrize(("architecture", "addons", "message"), REFUSED)
def test_what_is_not_built_is_refused_before_it_is_asked_for(
    architecture: str, addons: list[str], message: str
) -> None:
    with pytest.raises(InstallProblem, match=message):
        ollama_assets("0.33.2", architecture, addons)


def test_a_url_of_a_file_names_a_file_of_the_host() -> None:
    assert place("file:///srv/{version}/{asset}", "1", "a.tgz") == {"src": "/srv/1/a.tgz"}
    assert place(URL, "1", "a.tgz") == {"url": "https://mirror.example/v1/a.tgz"}


def test_a_given_checksum_wins_over_a_pinned_one(tmp_path: Path) -> None:
    pins = tmp_path / "pins"
    pins.write_text(f"{A}  v0.5.7/{NAME}\n{B}  v0.5.8/{NAME}\n")
    assert plan(pins=str(pins)).archives == ({"asset": NAME, "sha256": A},)
    assert plan(pins=str(pins), checksums={NAME: C}).archives == ({"asset": NAME, "sha256": C},)
    assert plan(pins=str(pins), checksums={NAME: C}, sha256=B).archives == ({"asset": NAME, "sha256": B},)
    assert plan(pins=str(pins)).actions == []


def test_a_host_with_a_verified_copy_is_asked_for_nothing_more() -> None:
    # The mirror would be asked, and does not exist.
    there = [{"version": "0.5.7", "sha256": [A]}]
    assert plan(there, source_url="http://127.0.0.1:9/{asset}", trust_mirror=True).archives == ({"asset": NAME},)


def test_an_adopted_copy_vouches_for_nothing() -> None:
    with pytest.raises(InstallProblem, match=f"no sha256 is known for {NAME} of Ollama 0.5.7"):
        plan([{"version": "0.5.7", "sha256": []}], source_url="http://127.0.0.1:9/{asset}", trust_mirror=True)


def test_a_file_of_the_controller_stands_for_the_first_archive_or_as_a_template_for_all(tmp_path: Path) -> None:
    file = tgz(tmp_path / NAME, ollama_tree("0.5.7"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    brought = {"src": f"{resolve.HOST_FOLDER}/{NAME}", "sha256": digest}
    rocm = "ollama-linux-amd64-rocm.tgz"
    known = {NAME: digest, rocm: digest}
    one = plan(addons=("rocm",), archive=str(file), checksums=known)
    assert one.archives == (brought, {"asset": rocm, "sha256": digest})
    assert [(file.src, file.dest) for file in one.files] == [(str(file), brought["src"])]
    tgz(tmp_path / rocm, ollama_tree("0.5.7"))
    both = plan(addons=("rocm",), archive=f"{tmp_path}/{{asset}}", checksums=known, allow_unverified=True)
    assert len(both.files) == 2


def test_a_file_of_the_controller_with_another_checksum_is_refused(tmp_path: Path) -> None:
    file = tgz(tmp_path / NAME, ollama_tree("0.5.7"))
    with pytest.raises(InstallProblem, match="wrong checksum"):
        plan(archive=str(file), sha256=A)


def test_a_file_of_the_host_is_left_there() -> None:
    done = plan(host_archive="/srv/{version}/{asset}", addons=("rocm",), sha256=A, allow_unverified=True)
    assert done.archives == (
        {"src": f"/srv/0.5.7/{NAME}", "sha256": A},
        {"src": "/srv/0.5.7/ollama-linux-amd64-rocm.tgz"},
    )
    assert done.files == ()


def test_only_checked_archives_are_repacked() -> None:
    with pytest.raises(InstallProblem, match="no known sha256"):
        plan(version="0.33.2", zstd=False, allow_unverified=True, cache="/nowhere")


def test_pins_are_added_and_what_the_owner_wrote_stays() -> None:
    text = f"# ours\n{A}  v0.5.7/{NAME}"
    after = checksums.with_pins(text, "0.5.8", {NAME: B})
    assert after == f"{text}\n{B}  v0.5.8/{NAME}\n"
    assert checksums.with_pins(after, "0.5.7", {NAME: C}) == after
    assert checksums.pinned(after, "0.5.8") == {NAME: B}


def test_of_a_published_list_only_names_without_a_directory_count() -> None:
    text = f"{A}  ./{NAME}\n{B} *b.tgz\n{C}  ../c.tgz\nnonsense\n{'A' * 64}  d.tgz\n"
    assert checksums.parse_published(text) == {NAME: A, "b.tgz": B}
