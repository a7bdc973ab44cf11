# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coverage-guided fuzzing of release archives: any bytes unpack below their directory, or are refused, in bounded time.

The first byte chooses the compression (the fuzzer need not find out how to write gzip); a tenth of the inputs are taken
as they are.
"""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from time import process_time

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

with atheris.instrument_imports(include=["ansible_collections.gguf.fleet", "tarfile", "zipfile"]):
    from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
    from ansible_collections.gguf.fleet.plugins.module_utils._install import archive, engines, target
    from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
    from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

MAX_SECONDS = 5
MAX_BYTES = 1 << 20
PLACE = Path(tempfile.mkdtemp(prefix="gguf-fleet-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
TAR = 512


def one_input(data: bytes) -> None:
    started = process_time()
    check(data)
    seconds = process_time() - started
    if seconds > MAX_SECONDS:
        raise AssertionError(f"{len(data)} bytes took {seconds:.1f} s")


def check(data: bytes) -> None:
    if not data:
        return
    content = data[1:]
    if data[0] % 4 == 1:
        content = gzip.compress(content, 1)
    elif data[0] % 4 == 2:
        content = with_checksums(content)
    outside, tree = PLACE / "outside", PLACE / "tree"
    for folder in (outside, tree):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    (outside / "canary").write_bytes(b"canary")
    source = PLACE / "archive"
    source.write_bytes(content)
    with open(source, "rb") as file, Directory.open(str(tree)) as top:
        try:
            archive.unpack(file, "archive", top, MAX_BYTES)
            engines.arrange(engines.ENGINES["llama_cpp"], top, "archive")
            target.check_tree(top)
        except Problem as problem:
            assert problem.problem and problem.remedy
            assert isinstance(problem, (InstallProblem, OSError))
        else:
            check_links(tree)
    check_modes(tree)
    assert sorted(path.name for path in PLACE.iterdir()) == ["archive", "outside", "tree"]
    assert [path.name for path in outside.iterdir()] == ["canary"]
    assert (outside / "canary").read_bytes() == b"canary"
    assert (outside / "canary").stat().st_nlink == 1


def with_checksums(content: bytes) -> bytes:
    """Each block that has a type of tar's gets the right checksum: the fuzzer's time is for what comes behind it."""
    blocks = bytearray(content[: len(content) // TAR * TAR])
    for start in range(0, len(blocks), TAR):
        block = blocks[start : start + TAR]
        if block[156:157] in b"0123456xgLKS" and any(block[:100]):
            block[257:265] = b"ustar\x0000"
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
            blocks[start : start + TAR] = block
    return bytes(blocks)


def check_links(tree: Path) -> None:
    """Followed by the kernel, every link of a tree that was accepted stays in it."""
    for folder, names, files in os.walk(tree):
        for name in (*names, *files):
            path = Path(folder, name)
            if path.is_symlink():
                try:
                    real = path.resolve()
                except RuntimeError:  # links that lead to each other
                    continue
                except OSError:
                    continue
                assert real == tree or tree in real.parents, (path, os.readlink(path))


def check_modes(tree: Path) -> None:
    size = 0
    for folder, names, files in os.walk(tree):
        for name in (*names, *files):
            status = Path(folder, name).lstat()
            assert stat.S_IFMT(status.st_mode) in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
            size += status.st_size if stat.S_ISREG(status.st_mode) else 0
            if not stat.S_ISLNK(status.st_mode):
                assert stat.S_IMODE(status.st_mode) in (0o755, 0o644, 0o600)
    assert size <= MAX_BYTES * 64  # hard links count once for each name


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
