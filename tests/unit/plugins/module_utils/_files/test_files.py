# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_file, remove_tree
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import WORKSHOP, workshop, write_file

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: gives files to other users")


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=lambda mask: f"umask {mask:03o}")
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.usefixtures("umask")
def test_a_file_gets_the_mode_that_was_asked_for_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "made" / "here" / "file"
    write_file(str(target), b"secret", mode=0o640, make_parents=True)
    assert target.read_bytes() == b"secret" and mode_of(target) == 0o640
    assert mode_of(target.parent) == mode_of(target.parent.parent) == 0o755
    assert os.listdir(target.parent) == ["file"]


def test_a_file_is_replaced_whole_and_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("untouched")
    (tmp_path / "file").symlink_to(other)
    write_file(str(tmp_path / "file"), b"new", mode=0o600)
    assert other.read_text() == "untouched"
    assert not (tmp_path / "file").is_symlink() and (tmp_path / "file").read_bytes() == b"new"


def test_a_failed_write_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError):
        write_file(str(tmp_path / "file"), b"new", mode=0o600)
    assert os.listdir(tmp_path) == ["file"]


@as_root
def test_a_link_that_another_user_owns_is_refused_in_a_path_and_one_of_root_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_file(str(tmp_path / "link" / "file"), b"x", mode=0o600)
    assert (tmp_path / "real" / "file").exists()
    os.chown(tmp_path / "link", 65534, 65534, follow_symlinks=False)
    with pytest.raises(PathProblem, match="'link' is a link that another user can change"):
        write_file(str(tmp_path / "link" / "file"), b"y", mode=0o600)
    assert (tmp_path / "real" / "file").read_bytes() == b"x"


@as_root
@pytest.mark.parametrize("mode, owner", [(0o777, 0), (0o755, 65534), (0o775, 0)])
def test_a_link_of_root_in_a_directory_of_others_is_refused(tmp_path: Path, mode: int, owner: int) -> None:
    (tmp_path / "real").mkdir()
    open_directory = tmp_path / "open"
    open_directory.mkdir()
    (open_directory / "link").symlink_to(tmp_path / "real")
    os.chown(open_directory, owner, owner)
    open_directory.chmod(mode)
    with pytest.raises(PathProblem, match="link that another user can change"):
        Directory.open(str(open_directory / "link")).close()


def test_links_in_circles_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(PathProblem, match="too many links"):
        Directory.open(str(tmp_path / "a")).close()


def test_a_missing_directory_is_made_only_when_asked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Directory.open(str(tmp_path / "none")).close()
    Directory.open(str(tmp_path / "a" / "b"), make=True, mode=0o700).close()
    assert mode_of(tmp_path / "a" / "b") == 0o700


def test_reading_takes_regular_files_of_a_bounded_length_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_file(str(tmp_path / "file"), limit_bytes=5) == b"12345"
    with pytest.raises(PathProblem, match="larger than 4 bytes"):
        read_file(str(tmp_path / "file"), limit_bytes=4)
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    for name in ("link", "fifo", "directory"):
        with pytest.raises(PathProblem, match="where a file is expected"):
            read_file(str(tmp_path / name))
    with pytest.raises(FileNotFoundError):
        read_file(str(tmp_path / "none"))


def test_a_tree_is_removed_without_following_its_links(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("here")
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "link").symlink_to(kept)
    (tree / "file").write_text("")
    assert remove_tree(str(tree)) and not tree.exists()
    assert (kept / "file").read_text() == "here"
    assert not remove_tree(str(tree)) and not remove_file(str(tree))


def test_only_the_link_goes_when_a_link_is_removed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    (tmp_path / "link").symlink_to("file")
    assert remove_file(str(tmp_path / "link"))
    assert (tmp_path / "file").read_text() == "here" and not (tmp_path / "link").is_symlink()


def test_what_a_killed_writer_left_goes_with_the_next_write_and_what_is_in_use_stays(tmp_path: Path) -> None:
    with Directory.open(str(tmp_path)) as directory, workshop(directory) as in_use:
        left = tmp_path / (WORKSHOP + "0123456789abcdef")
        left.mkdir(mode=0o700)
        (left / "file").write_text("half")
        (tmp_path / (WORKSHOP + "fedcba9876543210")).write_text("half")
        (tmp_path / (WORKSHOP + "a-file")).write_text("nothing of ours")
        write_file(str(tmp_path / "new"), b"x", mode=0o600)
        assert sorted(os.listdir(tmp_path)) == sorted([Path(in_use.path).name, WORKSHOP + "a-file", "new"])


def test_writers_of_one_directory_do_not_take_each_others_workshops(tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for turn in range(50):
                write_file(str(tmp_path / f"{number}-{turn}"), b"x", mode=0o600)
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failed == []
    assert len(os.listdir(tmp_path)) == 200
