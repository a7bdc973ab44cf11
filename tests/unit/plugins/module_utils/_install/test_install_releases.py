# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Optional

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._install import releases
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.plugins.module_utils._install.releases import Installed, Release, Wanted

A, B = ("a" * 64,), ("b" * 64,)


def installed(*versions: str, current: Optional[str] = None, previous: Optional[str] = None) -> Installed:
    return Installed(tuple(Release(version, A) for version in versions), current, previous)


def wanted(
    version: str, archives: bool = True, digests: tuple[str, ...] = (), activate: bool = True, keep: int = 2
) -> Wanted:
    return Wanted(version, archives, digests, activate, keep)


def plan(
    now: Installed, want: Wanted, running: tuple[str, ...] = (), links_right: bool = True
) -> list[tuple[str, str]]:
    newest = [release.version for release in now.releases]
    actions = releases.plan_present(now, want, running=running, links_right=links_right, newest_first=newest)
    return [(action.verb, action.version) for action in actions]


def test_the_first_version_is_fetched_and_made_current() -> None:
    assert plan(installed(), wanted("1.0")) == [("fetch", "1.0"), ("switch", "1.0")]


def test_a_converged_host_is_left_alone() -> None:
    assert plan(installed("1.0", current="1.0"), wanted("1.0", digests=A)) == []


def test_going_back_to_a_version_that_is_there_fetches_nothing() -> None:
    assert plan(installed("1.0", "2.0", current="2.0", previous="1.0"), wanted("1.0")) == [("switch", "1.0")]


def test_another_sum_for_the_same_version_is_fetched_anew() -> None:
    assert plan(installed("1.0", current="1.0"), wanted("1.0", digests=B)) == [("fetch", "1.0")]


def test_a_copy_of_unknown_origin_is_fetched_anew_unless_there_is_no_archive() -> None:
    unknown = Installed((Release("1.0", ()),), "1.0", None)
    assert plan(unknown, wanted("1.0")) == [("fetch", "1.0")]
    assert plan(unknown, wanted("1.0", archives=False)) == []


def test_old_versions_go_but_never_the_one_to_go_back_to() -> None:
    now = installed("2.0", "1.2", "1.1", "1.0", current="2.0", previous="1.2")
    assert plan(now, wanted("3.0")) == [
        ("fetch", "3.0"),
        ("switch", "3.0"),
        ("remove", "1.2"),
        ("remove", "1.1"),
        ("remove", "1.0"),
    ]
    assert ("remove", "2.0") not in plan(now, wanted("3.0", keep=1))


def test_the_one_to_go_back_to_stays_while_the_switch_may_be_undone() -> None:
    now = installed("2.0", "1.1", "1.0", current="2.0", previous="1.1")
    assert plan(now, wanted("3.0", activate=False)) == [("fetch", "3.0"), ("remove", "1.0")]


def test_a_version_that_something_still_runs_from_stays() -> None:
    now = installed("2.0", "1.1", "1.0", current="2.0", previous="1.1")
    assert plan(now, wanted("2.0"), running=("1.0",)) == []
    assert plan(now, wanted("2.0")) == [("remove", "1.0")]


def test_more_versions_are_kept_when_asked_for() -> None:
    now = installed("2.0", "1.1", "1.0", "0.9", current="2.0", previous="1.1")
    assert plan(now, wanted("2.0", keep=3)) == [("remove", "0.9")]


def test_a_command_that_leads_elsewhere_is_put_right() -> None:
    assert plan(installed("1.0", current="1.0"), wanted("1.0"), links_right=False) == [("link", "1.0")]


def test_without_activation_nothing_is_switched() -> None:
    assert plan(installed("1.0", current="1.0"), wanted("2.0", activate=False)) == [("fetch", "2.0")]


@pytest.mark.parametrize("version", ["", ".", "..", "a/b", "current", "previous", "-x", ".hidden", "1.0\n"])
def test_a_version_that_is_no_directory_name_is_refused(version: str) -> None:
    with pytest.raises(InstallProblem):
        releases.check_version(version)


def make(root: Path, *versions: str) -> None:
    for version in versions:
        (root / version / "bin").mkdir(parents=True)
        (root / version / "bin/ollama").write_text(version)


def test_a_reader_finds_a_version_at_every_moment_of_a_switch(tmp_path: Path) -> None:
    make(tmp_path, "1.0", "2.0")
    command = tmp_path / "usr/bin/ollama"
    links = {str(command): "bin/ollama"}
    releases.switch(str(tmp_path), "1.0", links)
    failures: list[OSError] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                assert command.read_text() in ("1.0", "2.0")
            except OSError as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _switch in range(200):
        releases.switch(str(tmp_path), "2.0", links)
        releases.switch(str(tmp_path), "1.0", links)
    done.set()
    reader.join()
    assert failures == []


def test_a_switch_is_undone_with_both_links(tmp_path: Path) -> None:
    make(tmp_path, "1.0", "2.0", "3.0")
    releases.switch(str(tmp_path), "1.0", {})
    releases.switch(str(tmp_path), "2.0", {})
    before = releases.switch(str(tmp_path), "3.0", {})
    assert (os.readlink(tmp_path / "current"), os.readlink(tmp_path / "previous")) == ("3.0", "2.0")
    releases.restore(str(tmp_path), before)
    assert (os.readlink(tmp_path / "current"), os.readlink(tmp_path / "previous")) == ("2.0", "1.0")


def test_a_command_that_was_a_file_becomes_the_link(tmp_path: Path) -> None:
    make(tmp_path, "1.0")
    command = tmp_path / "ollama"
    command.write_text("the old binary")
    releases.switch(str(tmp_path), "1.0", {str(command): "bin/ollama"})
    assert command.read_text() == "1.0"


def test_what_a_killed_run_left_is_no_version_and_is_swept(tmp_path: Path) -> None:
    make(tmp_path, "1.0")
    make(tmp_path / ".2.0.x.partial", "tree")
    (tmp_path / ".0.9.123.gone").mkdir()
    (tmp_path / "notes").mkdir()
    found = releases.read_installed(str(tmp_path), "ollama", {})
    assert [release.version for release in found.releases] == ["1.0"]
    with releases.open_root(str(tmp_path)) as root:
        releases.sweep(root)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.0", "notes"]


def test_a_link_to_a_version_that_is_gone_is_no_current_version(tmp_path: Path) -> None:
    make(tmp_path, "1.0")
    releases.switch(str(tmp_path), "1.0", {})
    releases.remove(str(tmp_path), "1.0")
    assert releases.read_installed(str(tmp_path), "ollama", {}).current is None
