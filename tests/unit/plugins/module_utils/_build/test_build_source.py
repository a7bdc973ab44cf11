# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A source pinned on the controller: real git repositories, archives, who builds, and what is kept."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._build import git, pins, source
from ansible_collections.gguf.fleet.plugins.module_utils._build.problem import BuildProblem
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.tests.builders import llama_source

NAME = "b11501-1a2b3c4d"


def host(version: str = NAME, glibc: str = "2.36", releases: Any = ()) -> dict[str, Any]:
    build = {"cpu": ["avx2"], "cuda": "", "nvcc": "", "capabilities": [], "lacks": ["cmake"], "version": version}
    return {"architecture": "amd64", "glibc": glibc, "nvidia": 0, "releases": list(releases), "build": build}


@pytest.fixture
def repository(tmp_path: Path) -> llama_source.Repository:
    return llama_source.Repository(tmp_path / "llama.cpp.git")


def wanted(tmp_path: Path, url: str = "", **given: Any) -> source.Wanted:
    more: dict[str, Any] = {"pins": str(tmp_path / "pins.txt"), "cache": str(tmp_path / "cache"), **given}
    return source.Wanted("b11501", NAME, url, targets=("llama-server",), **more)


def test_a_tag_is_pinned_once_and_its_tree_becomes_an_archive(
    repository: llama_source.Repository, tmp_path: Path
) -> None:
    commit = repository.tag("b11501", llama_source.files())
    asked = wanted(tmp_path, repository.url)
    planned = source.plan(asked, "a", {"a": host()})
    assert (planned.builder, planned.before) == ("a", "")
    assert planned.after == f"{commit}  b11501  11501  {repository.url}\n"
    assert not Path(asked.pins).exists()
    path = source.apply(asked, planned, "a")
    assert Path(asked.pins).read_text() == planned.after
    with tarfile.open(path) as packed:
        assert "source/CMakeLists.txt" in packed.getnames()
    again = source.plan(asked, "a", {"a": host()})
    assert (again.pin, again.after) == (None, planned.after)


def test_a_tag_that_has_moved_is_refused(repository: llama_source.Repository, tmp_path: Path) -> None:
    commit = repository.tag("b11501", llama_source.files())
    asked = wanted(tmp_path, repository.url)
    pins.add(asked.pins, pins.Pin(commit, "b11501", 11501, repository.url))
    repository.tag("b11501", llama_source.files(generates=False))
    planned = source.plan(asked, "a", {"a": host()})
    with pytest.raises(BuildProblem, match=f"the tag b11501 of .* has moved: it is [0-9a-f]{{40}}, and {commit} is"):
        source.apply(asked, planned, "a")


def test_a_tag_that_is_not_there_is_refused(repository: llama_source.Repository, tmp_path: Path) -> None:
    repository.tag("b11500", llama_source.files())
    with pytest.raises(BuildProblem, match="has no tag b11501"):
        source.plan(wanted(tmp_path, repository.url), "a", {"a": host()})


@pytest.mark.parametrize("url", ["--upload-pack=touch /tmp/x", "ext::sh -c id", "https://a b", "/nowhere.git"])
def test_what_is_no_repository_is_refused_and_runs_nothing(url: str) -> None:
    with pytest.raises(BuildProblem):
        git.commit_of(url, "b11501")


def test_an_archive_needs_its_checksum_and_has_to_have_it(tmp_path: Path) -> None:
    sha256 = llama_source.archive(tmp_path / "a.tar.gz", llama_source.files())
    with pytest.raises(BuildProblem, match="no known sha256"):
        source.plan(wanted(tmp_path, archive=str(tmp_path / "a.tar.gz")), "a", {"a": host()})
    with pytest.raises(Problem, match="wrong checksum"):
        source.plan(wanted(tmp_path, archive=str(tmp_path / "a.tar.gz"), sha256="0" * 64), "a", {"a": host()})
    with pytest.raises(BuildProblem, match="is not a file of the controller"):
        source.plan(wanted(tmp_path, archive=str(tmp_path / "b.tar.gz"), sha256=sha256), "a", {"a": host()})
    asked = wanted(tmp_path, archive=str(tmp_path / "a.tar.gz"), sha256=sha256)
    planned = source.plan(asked, "a", {"a": host()})
    assert source.apply(asked, planned, "a") == str(tmp_path / "a.tar.gz")
    assert not Path(asked.pins).exists()


@pytest.fixture
def archived(tmp_path: Path) -> source.Wanted:
    sha256 = llama_source.archive(tmp_path / "a.tar.gz", llama_source.files())
    return wanted(tmp_path, archive=str(tmp_path / "a.tar.gz"), sha256=sha256)


def test_the_first_host_of_each_kind_builds_for_the_others(archived: source.Wanted) -> None:
    hosts = {"other": host("b11500-1a2b3c4d"), "a": host(), "b": host(), "new": host(glibc="2.41"), "c": host()}
    builders = {name: source.plan(archived, name, hosts).builder for name in ("a", "b", "new", "c")}
    assert builders == {"a": "a", "b": "a", "new": "new", "c": "a"}
    assert source.apply(archived, source.plan(archived, "b", hosts), "b") == ""


def test_a_host_that_has_the_build_neither_builds_nor_gets_anything(archived: source.Wanted) -> None:
    digest = source.plan(archived, "a", {"a": host()}).digest
    has = host(releases=[{"version": NAME, "sha256": [digest]}])
    planned = source.plan(archived, "a", {"a": has, "b": host()})
    assert (planned.there, planned.builder, planned.files) == (True, "", [])
    # The one beside it lost it, and so did the controller.
    assert source.plan(archived, "b", {"a": has, "b": host()}).builder == "b"


def test_what_the_controller_has_is_not_built_again(archived: source.Wanted) -> None:
    planned = source.plan(archived, "a", {"a": host()})
    Path(planned.kept).parent.mkdir(parents=True)
    Path(planned.kept).write_bytes(b"built before")
    again = source.plan(archived, "a", {"a": host()})
    assert (again.builder, again.files) == ("", [{"src": planned.kept, "dest": planned.archive["src"]}])


def test_two_hosts_that_pin_at_once_lose_nothing_and_the_owner_s_lines_stay(tmp_path: Path) -> None:
    path = tmp_path / "pins.txt"
    path.write_text("# ours")
    pins.add(str(path), pins.Pin("a" * 40, "b1", 2, "https://x"))
    pins.add(str(path), pins.Pin("b" * 40, "b2", 2, "https://x"))
    pins.add(str(path), pins.Pin("c" * 40, "b1", 2, "https://x"))
    assert path.read_text() == f"# ours\n{'a' * 40}  b1  2  https://x\n{'b' * 40}  b2  2  https://x\n"
