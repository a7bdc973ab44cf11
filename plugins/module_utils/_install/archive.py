# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Unpack archives that nobody here has seen before: nothing leaves the target, nothing is bigger than agreed."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import tarfile
import zipfile
from typing import IO, Callable, Iterator, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"\xfd7zXZ\x00": "xz"}
COPY_BYTES = 1 << 20


def compression(path: str) -> str:
    """What the file is by its first bytes; a name can lie, and mirrors answer with HTML pages."""
    with open(path, "rb") as stream:
        head = stream.read(512)
    for magic, name in MAGIC.items():
        if head.startswith(magic):
            return name
    if head[257:262] == b"ustar":
        return "tar"
    start = head[:40].decode("ascii", "replace").strip() if head else ""
    told = f"it begins with {start!r}" if start else "it is empty"
    raise InstallProblem(
        f"{path} is not a release archive: {told}, not with the bytes of a .tgz, .tar.zst, .tar.xz or .zip.",
        "Check the URL or the file: a mirror may have answered with a web page.",
    )


def _zstd_module() -> Optional[Callable[[IO[bytes]], IO[bytes]]]:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # Python 3.14

        return zstd.ZstdFile
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError:
        return None
    return lambda stream: zstandard.ZstdDecompressor().stream_reader(stream)  # type: ignore[return-value,unused-ignore]


def can_read_zstd() -> bool:
    return shutil.which("zstd") is not None or _zstd_module() is not None


@contextlib.contextmanager
def _zstd_stream(path: str) -> Iterator[IO[bytes]]:
    program = shutil.which("zstd")
    if program is not None:
        with subprocess.Popen(  # the archive is an open file, not an argument: no name can be taken for an option
            [program, "-dc"], stdin=open(path, "rb"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            if process.stdout is None:
                raise AssertionError("zstd was started with a pipe")
            try:
                yield process.stdout
            finally:
                process.stdout.close()
        return
    reader = _zstd_module()
    if reader is None:
        raise InstallProblem(
            f"{path} is compressed with zstd, and this machine has neither the program zstd nor Python's zstandard.",
            "Install the package zstd, or give the archive as .tar.gz.",
        )
    with open(path, "rb") as stream, reader(stream) as unpacked:
        yield unpacked


@contextlib.contextmanager
def _tar_stream(path: str) -> Iterator[tarfile.TarFile]:
    kind = compression(path)
    if kind == "zstd":
        with _zstd_stream(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            yield archive
    else:
        with tarfile.open(path, mode="r|*") as archive:
            yield archive


def _inside(name: str) -> str:
    """The member's path below the target, or a refusal."""
    path = os.path.normpath(name)
    if name.startswith("/") or path == ".." or path.startswith("../") or "\x00" in name:
        raise InstallProblem(
            f"the archive holds {name!r}, which would land outside its own directory.",
            "This is not a release archive to trust; get it from the official release.",
        )
    return path


def _check_link(member: str, target: str, symbolic: bool) -> None:
    # A hard link's target counts from the archive's root, a symbolic link's from the link's own directory.
    base = os.path.dirname(member) if symbolic else ""
    if os.path.isabs(target) or os.path.normpath(os.path.join(base, target)).startswith(".."):
        raise InstallProblem(
            f"the archive holds the link {member!r} -> {target!r}, which leaves its own directory.",
            "This is not a release archive to trust; get it from the official release.",
        )


class _Target:
    """One directory being filled, with the bytes that are still allowed."""

    def __init__(self, path: str, max_bytes: int) -> None:
        self.path = os.path.realpath(path)
        self.max_bytes = max_bytes
        self.left_bytes = max_bytes
        self.members = 0

    def place(self, name: str) -> str:
        """Where a member goes. Its parents are made here; one that is a link is refused even inside the target."""
        here = self.path
        *parents, last = _inside(name).split(os.sep)
        for part in parents:
            here = os.path.join(here, part)
            with contextlib.suppress(FileExistsError):
                os.mkdir(here, 0o755)
            if os.path.islink(here) or not os.path.isdir(here):
                raise InstallProblem(
                    f"the archive writes {name!r} through {here!r}, which is not a directory of its own.",
                    "This is not a release archive to trust; get it from the official release.",
                )
        return os.path.join(here, last)

    def fill(self, path: str, source: IO[bytes], mode: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o600), "wb") as sink:
            while True:
                block = source.read(COPY_BYTES)
                if not block:
                    break
                self.left_bytes -= len(block)
                if self.left_bytes < 0:
                    raise InstallProblem(
                        f"the archive unpacks to more than {self.max_bytes:,} bytes.",
                        "If a release really is that big, raise max_bytes; else the archive is not one.",
                    )
                sink.write(block)
            # Neither setuid nor writable for others, whatever the archive says.
            os.fchmod(sink.fileno(), 0o755 if mode & 0o111 else 0o644)

    def link(self, path: str, target: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.symlink(target, path)


def _unpack_tar(path: str, target: _Target) -> None:
    with _tar_stream(path) as archive:
        for member in archive:
            place = target.place(member.name)
            if member.isdir():
                if place != target.path and os.path.normpath(member.name) != ".":
                    os.makedirs(place, 0o755, exist_ok=True)
            elif member.isreg():
                source = archive.extractfile(member)
                if source is None:
                    raise AssertionError("only regular files come here")
                target.fill(place, source, member.mode)
            elif member.issym():
                _check_link(_inside(member.name), member.linkname, symbolic=True)
                target.link(place, member.linkname)
            elif member.islnk():
                _check_link(_inside(member.name), member.linkname, symbolic=False)
                first = target.place(member.linkname)
                if os.path.islink(first):
                    target.link(place, os.readlink(first))
                else:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(place)
                    os.link(first, place, follow_symlinks=False)
            else:
                raise InstallProblem(
                    f"the archive holds {member.name!r}, which is a device or a pipe.",
                    "This is not a release archive to trust; get it from the official release.",
                )
            target.members += 1


def _unpack_zip(path: str, target: _Target) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            place = target.place(member.filename)
            if member.is_dir():
                os.makedirs(place, 0o755, exist_ok=True)
            elif stat.S_ISLNK(mode):
                link = archive.read(member).decode("utf-8", "strict")
                _check_link(_inside(member.filename), link, symbolic=True)
                target.link(place, link)
            elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
                with archive.open(member) as source:
                    target.fill(place, source, mode or 0o755)
            else:
                raise InstallProblem(
                    f"the archive holds {member.filename!r}, which is neither a file, a directory nor a link.",
                    "This is not a release archive to trust; get it from the official release.",
                )
            target.members += 1


def unpack(path: str, directory: str, max_bytes: int) -> int:
    """Unpack the archive into an existing directory; the bytes that it holds."""
    target = _Target(directory, max_bytes)
    try:
        if compression(path) == "zip":
            _unpack_zip(path, target)
        else:
            _unpack_tar(path, target)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InstallProblem(
                f"{path} could not be unpacked into {directory}: {error.strerror}.",
                "Look at the disk (df, mount) and run again; nothing that serves was changed.",
            ) from error
        raise InstallProblem(
            f"{path} cannot be unpacked: {error}.", "The archive is damaged or not one; fetch it again."
        ) from error
    if not target.members:
        raise InstallProblem(f"{path} holds no file.", "The archive is damaged or not one; fetch it again.")
    return max_bytes - target.left_bytes


def repack_as_gzip(path: str, dest: str) -> None:
    """The same tar stream in a compression that every Python reads, for hosts without zstd."""
    import gzip

    partial = f"{dest}.{os.getpid()}.partial"
    try:
        with _zstd_stream(path) as source, open(partial, "wb") as raw:
            # No time and no name in the header: the same archive gives the same bytes.
            sink = gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=1, mtime=0)
            shutil.copyfileobj(source, sink, COPY_BYTES)
            sink.close()
        os.replace(partial, dest)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
