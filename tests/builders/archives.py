# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builders of release archives, true ones and hostile ones."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Optional, Union

# What a member is: a file's bytes, or a tar type with the link's target.
Member = Union[bytes, tuple[bytes, str]]


def tar_bytes(members: dict[str, Member]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, member in members.items():
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            if isinstance(member, bytes):
                info.size = len(member)
                archive.addfile(info, io.BytesIO(member))
            else:
                info.type, info.linkname = member
                archive.addfile(info)
    return buffer.getvalue()


def tgz(path: Path, members: dict[str, Member]) -> Path:
    path.write_bytes(gzip.compress(tar_bytes(members)))
    return path


def zipped(path: Path, members: dict[str, bytes], links: Optional[dict[str, str]] = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100755 << 16
            archive.writestr(info, content)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, target)
    return path


def ollama_program(version: str, body: str = "") -> bytes:
    """A program that answers --version as Ollama does when no server runs, and does as told otherwise."""
    return (
        "#!/bin/sh\n"
        'if [ "$1" = --version ]; then\n'
        "  echo 'Warning: could not connect to a running Ollama instance'\n"
        f"  echo 'Warning: client version is {version}'\n"
        "  exit 0\n"
        f"fi\n{body}\n"
    ).encode()


def ollama_tree(version: str, body: str = "") -> dict[str, Member]:
    """The members of v0.5.7's archives, with the leading ./ of theirs."""
    return {
        "./": (tarfile.DIRTYPE, ""),
        "./bin": (tarfile.DIRTYPE, ""),
        "./bin/ollama": ollama_program(version, body),
        "./lib/ollama/libggml.so.1": b"library",
        "./lib/ollama/libggml.so": (tarfile.SYMTYPE, "libggml.so.1"),
    }
