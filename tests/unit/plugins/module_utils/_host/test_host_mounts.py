# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts: which one a path lies on, and which of them other hosts share, by one list for all who ask."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._host.mounts import (
    UNKNOWN,
    Mount,
    is_shared,
    is_shared_kind,
    mount_of,
)
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.checks import Disk, judge_disk
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.finding import OK, WARNING

PLUGINS = Path(__file__).resolve().parents[5] / "plugins"
ROOT_LINE = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
# kind of file system: whether other hosts may write there, too
KINDS = {
    "nfs4": True,
    "cifs": True,
    "smbfs": True,
    "beegfs": True,
    "gpfs": True,
    "9p": True,
    "virtiofs": True,
    "fuse.sshfs": True,
    "fuse.s3fs": True,
    "fuse": True,
    "fuseblk": False,
    "fusectl": False,
    "ext4": False,
    "xfs": False,
    "overlay": False,
    "tmpfs": False,
    UNKNOWN: False,
}


def table(folder: Path, *lines: str) -> str:
    file = folder / "mountinfo"
    file.write_text(ROOT_LINE + "".join(f"{line}\n" for line in lines), encoding="ascii")
    return str(file)


@pytest.mark.parametrize(("kind", "shared"), KINDS.items())
def test_a_lease_and_a_preflight_go_by_the_same_list(kind: str, shared: bool, tmp_path: Path) -> None:
    mountinfo = table(tmp_path, f"36 1 0:30 / {tmp_path} rw - {kind} server:/export rw")
    assert is_shared_kind(kind) is shared
    assert is_shared(str(tmp_path / "m.gguf"), mountinfo) is shared
    warned = [found.level for found in judge_disk(Disk("/srv", 1 << 40, kind, "/srv"), [], 0) if kind in found.text]
    assert (WARNING in warned) is shared
    assert OK in warned


def test_the_innermost_mount_counts_and_of_two_on_one_point_the_later(tmp_path: Path) -> None:
    mountinfo = table(
        tmp_path,
        "30 20 0:30 / /srv rw shared:1 - nfs4 server:/a rw",
        "31 30 0:31 / /srv/models rw - xfs /dev/sdb rw",
        "32 31 0:32 / /srv/models rw - ext4 /dev/sdc rw",
    )
    assert mount_of("/srv/models/r1", mountinfo) == Mount("/srv/models", "ext4")
    assert mount_of("/srv", mountinfo) == Mount("/srv", "nfs4")
    assert mount_of("/srv2", mountinfo) == Mount("/", "ext4")


def test_a_mount_with_blanks_in_its_name_is_found(tmp_path: Path) -> None:
    mountinfo = table(tmp_path, r"30 20 0:30 / /srv/my\040big\011disk\134 rw - nfs server:/a rw")
    assert mount_of("/srv/my big\tdisk\\/r1", mountinfo) == Mount("/srv/my big\tdisk\\", "nfs")


def test_a_host_that_says_nothing_of_its_mounts_has_a_disk_of_its_own(tmp_path: Path) -> None:
    assert mount_of("/srv", str(tmp_path / "missing")) == Mount("", UNKNOWN)


def test_a_file_in_a_folder_that_is_made_later_lies_on_the_mount_above(tmp_path: Path) -> None:
    mountinfo = table(tmp_path, f"36 1 0:30 / {os.path.realpath(tmp_path)} rw - nfs4 server:/export rw")
    (tmp_path / "link").symlink_to(tmp_path)
    assert is_shared(str(tmp_path / "link/not/yet/m.gguf"), mountinfo)


def test_this_host_knows_where_its_root_is() -> None:
    assert mount_of("/").point == "/"


@pytest.mark.parametrize("word", ['"nfs4"', "/proc/self/mounts", "/proc/self/mountinfo"])
def test_no_other_file_has_a_list_or_reads_the_table(word: str) -> None:
    files = [path.relative_to(PLUGINS).as_posix() for path in PLUGINS.rglob("*.py") if word in path.read_text("utf-8")]
    assert files in (["module_utils/_host/mounts.py"], [])
