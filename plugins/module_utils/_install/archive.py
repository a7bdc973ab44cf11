# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Unpack archives that nobody here has seen before: nothing leaves the target, nothing is bigger than agreed.

An archive is an open file: what was hashed is what is unpacked, whatever its name leads to by now.
"""

from __future__ import annotations

import contextlib
import gzip
import lzma
import os
import shutil
import stat
import struct
import subprocess
import tarfile
import zipfile
import zlib
from typing import IO, Any, Iterator, Optional, cast

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.streaming import write_stream
from ansible_collections.gguf.fleet.plugins.module_utils._install import zstd
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.plugins.module_utils._install.target import (
    COPY_BYTES,
    MAX_TARGET,
    UNTRUSTED,
    Target,
)
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"\xfd7zXZ\x00": "xz"}
# Long names and extended headers; tarfile reads each whole into memory.
HEADER_BYTES = 1 << 20
XZ_MEMORY_BYTES = 256 << 20
# What the readers of damaged archives raise, by experience.
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    RuntimeError,
    LookupError,
    AttributeError,
    TypeError,
)


def compression(file: IO[bytes], name: str) -> str:
    """What the file is by its first bytes; a name can lie, and mirrors answer with HTML pages."""
    head = os.pread(file.fileno(), 512, 0)
    for magic, kind in MAGIC.items():
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar":
        return "tar"
    start = head[:40].decode("ascii", "replace").strip() if head else ""
    told = f"it begins with {start!r}" if start else "it is empty"
    raise InstallProblem(
        f"{name} is not a release archive: {told}, not with the bytes of a .tgz, .tar.zst, .tar.xz or .zip.",
        "Check the URL or the file: a mirror may have answered with a web page.",
    )


@contextlib.contextmanager
def _zstd_stream(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    program = zstd.program()
    if program is not None:
        # The archive is an open file, not an argument: no name can be taken for an option.
        with subprocess.Popen(
            [program, "-dc"], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            if process.stdout is None:
                raise AssertionError("zstd was started with a pipe")
            try:
                yield process.stdout
            finally:
                process.stdout.close()
        # Killed by the closed pipe (negative) when the archive goes on behind its end.
        if process.returncode > 0:
            raise EOFError("zstd finds it damaged")
        return
    reader = zstd.python_reader()
    if reader is None:
        raise InstallProblem(
            f"{name} is compressed with zstd, and this machine has neither the program zstd nor Python's zstandard.",
            "Install the package zstd, or give the archive as .tar.gz.",
        )
    with reader(file) as unpacked:
        yield unpacked


class _Xz:
    """Like lzma.LZMAFile, with a bound on the memory that the file may ask for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decompressor = lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES)

    def read(self, size: int) -> bytes:
        data = b""
        while not data and not self._decompressor.eof:
            needs_input = bool(self._decompressor.needs_input)
            more = self._file.read(1 << 16) if needs_input else b""
            if needs_input and not more:
                raise EOFError("it ends too early")
            data = self._decompressor.decompress(more, size)
        return data


class _Bounded:
    """A stream of tar whose headers may not be longer than agreed; the bytes of files are counted where they go."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.left_bytes: Optional[int] = HEADER_BYTES

    def read(self, size: int) -> bytes:
        data = cast(bytes, self._stream.read(size))
        if self.left_bytes is not None:
            self.left_bytes -= len(data)
            if self.left_bytes < 0:
                raise InstallProblem(f"the archive holds a header of more than {HEADER_BYTES:,} bytes.", UNTRUSTED)
        return data


@contextlib.contextmanager
def _plain_stream(file: IO[bytes], name: str) -> Iterator[Any]:
    """The tar stream of an archive, uncompressed."""
    kind = compression(file, name)
    file.seek(0)
    if kind == "zstd":
        with _zstd_stream(file, name) as stream:
            yield stream
    elif kind == "gzip":
        with gzip.GzipFile(fileobj=file, mode="rb") as stream:
            yield stream
    else:
        yield _Xz(file) if kind == "xz" else file


def _unpack_tar(file: IO[bytes], name: str, target: Target) -> None:
    with _plain_stream(file, name) as stream:
        bounded = _Bounded(stream)
        with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r|") as archive:
            while True:
                bounded.left_bytes = HEADER_BYTES
                member = archive.next()
                if member is None:
                    return
                _place(archive, member, bounded, target)
                # It remembers every member, for random access that a stream does not have.
                archive.members.clear()  # type: ignore[attr-defined,unused-ignore]


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, bounded: _Bounded, target: Target) -> None:
    if member.isdir():
        target.make_directory(member.name)
    elif member.isreg() and not member.issparse() and member.size >= 0:
        source = archive.extractfile(member)
        if source is None:
            raise AssertionError("only regular files come here")
        bounded.left_bytes = None
        target.fill(member.name, source, member.mode)
    elif member.issym():
        target.link(member.name, member.linkname)
    elif member.islnk():
        target.hard_link(member.name, member.linkname)
    else:
        raise InstallProblem(f"the archive holds {member.name!r}, which is a device, a pipe or has holes.", UNTRUSTED)


def _unpack_zip(file: IO[bytes], target: Target) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            if member.is_dir():
                target.make_directory(member.filename)
            elif stat.S_ISLNK(mode):
                with archive.open(member) as source:
                    target.link(member.filename, source.read(MAX_TARGET + 1).decode("utf-8", "strict"))
            elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
                with archive.open(member) as source:
                    target.fill(member.filename, source, mode or 0o755)
            else:
                raise InstallProblem(
                    f"the archive holds {member.filename!r}, which is neither a file, a directory nor a link.",
                    UNTRUSTED,
                )


def unpack(file: IO[bytes], name: str, directory: Directory, max_bytes: int) -> int:
    """Unpack the open archive into an empty directory; the bytes that it holds. name: for messages."""
    target = Target(directory, max_bytes)
    try:
        if compression(file, name) == "zip":
            _unpack_zip(file, target)
        else:
            _unpack_tar(file, name, target)
    except Problem:
        raise
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InstallProblem(
                f"{name} could not be unpacked into {directory.path}: {error.strerror}.",
                "Look at the disk (df, mount) and run again; nothing that serves was changed.",
            ) from error
        raise InstallProblem(
            f"{name} cannot be unpacked: {error}.", "The archive is damaged, or it is not an archive; fetch it again."
        ) from error
    if not target.members:
        raise InstallProblem(
            f"{name} holds no file.", "The archive is damaged, or it is not an archive; fetch it again."
        )
    return max_bytes - target.left_bytes


def repack_as_gzip(file: IO[bytes], name: str, dest: str) -> None:
    """The same tar stream in a compression that every Python reads, for hosts without zstd."""

    def repack(raw: IO[bytes]) -> None:
        file.seek(0)
        # No time and no name in the header: the same archive gives the same bytes.
        sink = gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=1, mtime=0)
        with sink, _zstd_stream(file, name) as source:
            shutil.copyfileobj(source, sink, COPY_BYTES)

    write_stream(dest, repack, mode=0o600)
