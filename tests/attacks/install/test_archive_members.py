# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that want to leave their directory, or to leave something there that others can use."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._install import archive, engines, target
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.tests.attacks.conftest import Canary

Entry = tuple[str, bytes, str]  # name, type, link's target or content
BIG = 1 << 30
LLAMA_CPP, OLLAMA = engines.ENGINES["llama_cpp"], engines.ENGINES["ollama"]


def tar(path: Path, *entries: Entry, mode: int = 0o755) -> Path:
    """Unlike a dictionary of members, this can hold a name twice."""
    with tarfile.open(path, "w:gz") as made:
        for name, kind, text in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, mode
            if kind == tarfile.REGTYPE:
                info.size = len(text)
                made.addfile(info, io.BytesIO(text.encode()))
            else:
                info.linkname = text
                made.addfile(info)
    return path


def unpack(path: Path, into: Path, max_bytes: int = BIG) -> None:
    into.mkdir(exist_ok=True)
    with open(path, "rb") as file, Directory.open(str(into)) as directory:
        archive.unpack(file, str(path), directory, max_bytes)
        target.check_tree(directory)


FILE, LINK, HARD, FOLDER = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
HOSTILE: dict[str, tuple[Entry, ...]] = {
    "a link that climbs by a link to itself": (("d", LINK, "."), ("e", LINK, "d/d/../../of-root")),
    "a link that climbs after a name": (("a/b", LINK, "../c"), ("x", LINK, "a/b/../../of-root")),
    "a file through a link that climbs": (("d", LINK, "."), ("e", LINK, "d/.."), ("e/of-root/shadow", FILE, "x")),
    "a file through a link to here": (("d", LINK, "."), ("d/x", FILE, "x")),
    "a directory through a link": (("d", LINK, "."), ("d/x", FOLDER, "")),
    "a hard link through a link": (("f", FILE, "x"), ("d", LINK, "."), ("g", HARD, "d/f")),
    "a hard link to what is not there": (("g", HARD, "f"),),
    "a hard link to a directory": (("a/f", FILE, "x"), ("g", HARD, "a")),
    "an absolute link": (("a", LINK, "/etc/shadow"),),
    "an empty link": (("a", LINK, ""),),
    "a hard link that climbs": (("a", HARD, "../of-root/shadow"),),
    "a name twice": (("f", FILE, "x"), ("f", FILE, "y")),
    "a link over a file": (("f", FILE, "x"), ("f", LINK, "g")),
    "a file over a link": (("f", LINK, "g"), ("f", FILE, "x")),
    "a file over a directory": (("f", FOLDER, ""), ("f", FILE, "x")),
    "a directory over a file": (("f", FILE, "x"), ("f", FOLDER, "")),
    "a device": (("d", tarfile.CHRTYPE, ""),),
    "a disk": (("d", tarfile.BLKTYPE, ""),),
    "a pipe": (("d", tarfile.FIFOTYPE, ""),),
    "an escape sequence": (("a\x1b[2J", FILE, "x"),),
    "a line separator": (("a\u2028b", FILE, "x"),),
    "an escape sequence in a link": (("a", LINK, "b\x1b[2J"),),
    "a very deep name": (("/".join("a" * 90), FILE, "x"),),
    "a name that climbs in its middle": (("a/../../of-root/x", FILE, "x"),),
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_member_is_refused_and_nothing_outside_is_touched(
    reachable: Path, canary: Canary, entries: tuple[Entry, ...]
) -> None:
    with pytest.raises(InstallProblem) as refused:
        unpack(tar(reachable / "a.tgz", *entries), reachable / "tree")
    assert refused.value.remedy
    canary.check()
    assert sorted(path.name for path in canary.path.parent.iterdir()) == ["shadow"]
    assert sorted(path.name for path in reachable.iterdir()) == ["a.tgz", "of-root", "tree"]


def test_every_link_that_stays_leads_inside(reachable: Path, canary: Canary) -> None:
    entries: tuple[Entry, ...] = (
        ("lib/a/libx.so.1", FILE, "library"),
        ("lib/a/libx.so", LINK, "libx.so.1"),
        ("lib/b/libx.so", LINK, "../a/libx.so"),
        ("lib/c", LINK, "a"),
        ("lib/b/up", LINK, "../.."),
    )
    tree = reachable / "tree"
    unpack(tar(reachable / "a.tgz", *entries), tree)
    for folder, names, files in os.walk(tree):
        for name in [*names, *files]:
            assert str(Path(folder, name).resolve()).startswith(str(tree))


def test_a_link_that_leaves_only_after_the_release_is_put_in_order_is_refused(reachable: Path) -> None:
    """build/bin becomes bin: one step less to climb."""
    tree = reachable / "tree"
    entries = (("build/bin/llama-server", FILE, "x"), ("build/bin/out", LINK, "../../of-root"))
    unpack(tar(reachable / "a.tgz", *entries), tree)
    with Directory.open(str(tree)) as directory:
        engines.arrange(LLAMA_CPP, directory, "a.tgz")
        with pytest.raises(InstallProblem, match="leaves its own directory"):
            target.check_tree(directory)


@pytest.mark.parametrize("engine", [OLLAMA, LLAMA_CPP], ids=["ollama", "llama_cpp"])
def test_an_add_on_is_not_written_through_a_link_of_the_release(
    reachable: Path, canary: Canary, engine: engines.Engine
) -> None:
    tree, extra = reachable / "tree", reachable / "extra"
    release = tar(reachable / "a.tgz", (f"bin/{engine.program}", FILE, "x"), ("up", LINK, "."))
    unpack(release, tree)
    unpack(tar(reachable / "b.tgz", ("lib/ollama/rocm/shadow", FILE, "x")), extra)
    (tree / "lib").symlink_to(canary.path.parent)
    if engine is LLAMA_CPP:
        (tree / "bin" / engine.program).unlink()
        (tree / "bin").rmdir()
        (tree / "bin").symlink_to(canary.path.parent)
    with Directory.open(str(tree)) as into, Directory.open(str(extra)) as source, pytest.raises(Problem):
        engines.add(engine, into, source)
    canary.check()
    assert sorted(path.name for path in canary.path.parent.iterdir()) == ["shadow"]


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_modes_are_ours_whatever_the_archive_and_the_umask_say(reachable: Path, umask: int) -> None:
    entries: tuple[Entry, ...] = (("bin", FOLDER, ""), ("bin/ollama", FILE, "x"))
    before = os.umask(umask)
    try:
        unpack(tar(reachable / "a.tgz", *entries, mode=0o7777), reachable / "tree")
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((reachable / "tree" / name).stat().st_mode) for name in ("bin", "bin/ollama")}
    assert modes == {"bin": 0o755, "bin/ollama": 0o755}


def test_a_header_that_is_longer_than_memory_is_refused_soon(reachable: Path) -> None:
    """An extended header says that it is 4 GiB long; as zeros that is a few megabytes of gzip."""
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 32
    path = reachable / "a.tgz"
    import gzip

    with gzip.open(path, "wb", compresslevel=1) as sink:
        sink.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _part in range(256):
            sink.write(bytes(1 << 20))
    started = time.monotonic()
    with pytest.raises(InstallProblem, match="header of more than"):
        unpack(path, reachable / "tree")
    assert time.monotonic() - started < 20


def test_a_link_in_a_zip_that_is_a_gigabyte_long_is_not_read_to_its_end(reachable: Path) -> None:
    path = reachable / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        made.writestr(info, "a" * (64 << 20))
    with pytest.raises(InstallProblem, match="leaves its own directory"):
        unpack(path, reachable / "tree")
