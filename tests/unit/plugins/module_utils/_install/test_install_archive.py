# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._install import archive, zstd
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.tests.builders.archives import (
    Member,
    ollama_tree,
    tar_bytes,
    tgz,
    zipped,
)

BIG = 1 << 30


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    return path


def unpack(path: Path, target: Path, max_bytes: int = BIG) -> int:
    with open(path, "rb") as file, Directory.open(str(target)) as directory:
        return archive.unpack(file, str(path), directory, max_bytes)


def outside(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target and path.name != "a.tgz")


def test_a_release_is_unpacked_with_its_links_and_modes(tmp_path: Path, target: Path) -> None:
    unpack(tgz(tmp_path / "a.tgz", ollama_tree("0.5.7")), target)
    assert (target / "lib/ollama/libggml.so").read_bytes() == b"library"
    assert (target / "lib/ollama/libggml.so").is_symlink()
    assert stat.S_IMODE((target / "bin/ollama").stat().st_mode) == 0o755


HOSTILE: dict[str, dict[str, Member]] = {
    "a path that climbs out": {"../evil": b"x"},
    "a path that climbs out in its middle": {"bin/../../evil": b"x"},
    "an absolute path": {"/tmp/gguf-fleet-evil": b"x"},
    "a symbolic link to an absolute path": {"lib": (tarfile.SYMTYPE, "/etc")},
    "a symbolic link that climbs out": {"bin/x": (tarfile.SYMTYPE, "../../evil")},
    "a file through a link to outside": {"lib": (tarfile.SYMTYPE, "../target/../evil"), "lib/x": b"x"},
    "a file through a link inside": {"a/f": b"1", "b": (tarfile.SYMTYPE, "a"), "b/f": b"2"},
    "a hard link that climbs out": {"x": (tarfile.LNKTYPE, "../a.tgz")},
    "a hard link to an absolute path": {"x": (tarfile.LNKTYPE, "/etc/passwd")},
    "a device": {"dev": (tarfile.CHRTYPE, "")},
    "a block device": {"dev": (tarfile.BLKTYPE, "")},
    "a pipe": {"pipe": (tarfile.FIFOTYPE, "")},
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_of_a_hostile_archive_lands_outside(tmp_path: Path, target: Path, members: dict[str, Member]) -> None:
    with pytest.raises(InstallProblem):
        unpack(tgz(tmp_path / "a.tgz", members), target)
    assert outside(target) == []
    assert not Path("/tmp/gguf-fleet-evil").exists()


def test_a_hostile_zip_is_refused_too(tmp_path: Path, target: Path) -> None:
    for members, links in (({"../evil": b"x"}, {}), ({}, {"bin/x": "../../evil"}), ({}, {"x": "/etc/passwd"})):
        with pytest.raises(InstallProblem):
            unpack(zipped(tmp_path / "a.tgz", members, links), target)
    assert outside(target) == []


def test_a_hard_link_to_a_link_inside_does_not_follow_it(tmp_path: Path, target: Path) -> None:
    members: dict[str, Member] = {
        "f": b"1",
        "s": (tarfile.SYMTYPE, "f"),
        "h": (tarfile.LNKTYPE, "s"),
        "g": (tarfile.LNKTYPE, "f"),
    }
    unpack(tgz(tmp_path / "a.tgz", members), target)
    assert os.readlink(target / "h") == "f"
    assert (target / "g").read_bytes() == b"1"


def test_an_archive_that_unpacks_to_too_much_is_stopped(tmp_path: Path, target: Path) -> None:
    bomb = tgz(tmp_path / "a.tgz", {"a": bytes(3 << 20), "b": bytes(3 << 20)})
    with pytest.raises(InstallProblem, match="more than 4,194,304 bytes"):
        unpack(bomb, target, 4 << 20)


def test_neither_setuid_nor_foreign_write_permission_survives(tmp_path: Path, target: Path) -> None:
    path = tmp_path / "a.tgz"
    with tarfile.open(path, "w:gz") as made:
        info = tarfile.TarInfo("bin/x")
        info.mode = 0o6777
        made.addfile(info)
    unpack(path, target)
    assert stat.S_IMODE((target / "bin/x").stat().st_mode) == 0o755


NO_ARCHIVES = {
    "a web page": b"<html><body>404</body></html>",
    "an empty file": b"",
    "text": b"hello\n" * 200,
    "a cut archive": tar_bytes({"a": bytes(100_000)})[:50_000],
}


@pytest.mark.parametrize("content", NO_ARCHIVES.values(), ids=NO_ARCHIVES.keys())
def test_what_is_no_archive_is_refused_by_name(tmp_path: Path, target: Path, content: bytes) -> None:
    path = tmp_path / "a.tgz"
    path.write_bytes(content)
    with pytest.raises(InstallProblem, match=r"a\.tgz"):
        unpack(path, target)


def test_a_truncated_gzip_is_refused(tmp_path: Path, target: Path) -> None:
    path = tgz(tmp_path / "a.tgz", {"bin/ollama": os.urandom(200_000)})
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InstallProblem, match="cannot be unpacked"):
        unpack(path, target)


def test_zstd_is_read_by_the_program_or_by_python(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zstandard = pytest.importorskip("zstandard", reason="makes the archive of this test")
    path = tmp_path / "a.tar.zst"
    path.write_bytes(zstandard.compress(tar_bytes(ollama_tree("0.33.2"))))
    unpack(path, target)
    monkeypatch.setattr(zstd, "program", lambda: None)
    other = tmp_path / "other"
    other.mkdir()
    unpack(path, other)
    assert (target / "bin/ollama").read_bytes() == (other / "bin/ollama").read_bytes()


def test_a_host_without_zstd_is_told_what_to_do(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tar.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    monkeypatch.setattr(zstd, "program", lambda: None)
    monkeypatch.setattr(zstd, "python_reader", lambda: None)
    assert not zstd.can_read()
    with pytest.raises(InstallProblem, match="Install the package zstd"):
        unpack(path, target)


def test_repacking_keeps_the_content_and_is_the_same_every_time(tmp_path: Path, target: Path) -> None:
    zstandard = pytest.importorskip("zstandard", reason="makes the archive of this test")
    path = tmp_path / "a.tar.zst"
    path.write_bytes(zstandard.compress(tar_bytes(ollama_tree("0.33.2"))))
    for name in ("one.tar.gz", "two.tar.gz"):
        with open(path, "rb") as file:
            archive.repack_as_gzip(file, str(path), str(tmp_path / name))
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    unpack(tmp_path / "one.tar.gz", target)
    assert (target / "lib/ollama/libggml.so").read_bytes() == b"library"
