# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reservation that a real ext4 cannot hold. ext4 by itself keeps every block that it found until then."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._reserve import reserve_disk

MIB = 1 << 20


@pytest.fixture
def small_ext4(tmp_path: Path) -> Iterator[Path]:
    mkfs = shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if mkfs is None or os.geteuid() != 0:
        pytest.skip("needs root and mkfs.ext4: apt-get install e2fsprogs")
    image, at = tmp_path / "image", tmp_path / "small"
    at.mkdir()
    with image.open("wb") as file:
        file.truncate(32 * MIB)
    subprocess.run([mkfs, "-q", str(image)], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", str(image), str(at)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this machine mounts no image: {mounted.stderr.strip()}")
    yield at
    subprocess.run(["umount", str(at)], check=True)


def test_a_reservation_that_fails_takes_nothing(small_ext4: Path) -> None:
    with (small_ext4 / "file").open("w+b", buffering=0) as file:
        file.write(b"there")
        with pytest.raises(OSError, match="No space left on device"):
            reserve_disk(file.fileno(), 5, 64 * MIB)
        status = os.fstat(file.fileno())
        assert status.st_size == 5
        assert status.st_blocks * 512 < MIB
        assert os.pread(file.fileno(), 10, 0) == b"there"
