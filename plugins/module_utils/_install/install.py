# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Carry out the plan for one version: fetch, verify, unpack beside, prove, and only then take its place.

All of it happens by descriptors below the directory of the versions, which is root's alone. An archive is opened once,
hashed and unpacked by that descriptor; one that somebody else could still write to is copied first.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from dataclasses import dataclass
from typing import IO, Callable, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import open_regular
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_entry
from ansible_collections.gguf.fleet.plugins.module_utils._files.streaming import write_stream
from ansible_collections.gguf.fleet.plugins.module_utils._http.shown import shown
from ansible_collections.gguf.fleet.plugins.module_utils._install import (
    archive,
    engines,
    fetch,
    foreign,
    releases,
    target,
)
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

# What goes on while a version takes its place and must not fail without it being taken back.
Record = Callable[[str, Sequence[str]], object]


@dataclass(frozen=True)
class Source:
    """One archive: a URL or a file of this host, and the checksum that it must have (None: allowed to go unchecked)."""

    url: Optional[str]
    path: Optional[str]
    sha256: Optional[str]

    @property
    def name(self) -> str:
        """For messages."""
        return self.path or shown(self.url or "")


@dataclass(frozen=True)
class Unpacked:
    """What an installation brought."""

    digests: Tuple[str, ...]
    told_version: str
    bytes_fetched: int


@contextlib.contextmanager
def _scratch(root: Directory, version: str) -> Iterator[Directory]:
    """A directory beside the versions (same file system, so that the last step is a rename), gone afterwards."""
    releases.sweep(root)
    name = f".{version}.{secrets.token_hex(8)}.partial"
    try:
        with root.enter(name, make=True, mode=0o700) as scratch:
            yield scratch
    finally:
        with contextlib.suppress(OSError):
            remove_entry(root, name)


def _new_file(directory: Directory) -> IO[bytes]:
    """A file that has no name any more: nothing is left of it when it is closed."""
    descriptor = os.open("archive", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory.fd)
    os.unlink("archive", dir_fd=directory.fd)
    return os.fdopen(descriptor, "w+b")


@contextlib.contextmanager
def _bring(source: Source, scratch: Directory, max_bytes: int) -> Iterator[Tuple[IO[bytes], str, int]]:
    """The verified archive as an open file, its checksum, and the bytes that moved."""
    with contextlib.ExitStack() as opened:
        if source.path is not None:
            file = opened.enter_context(_open_archive(source.path))
            status = os.fstat(file.fileno())
            if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
                file = _copied(file, opened.enter_context(_new_file(scratch)), source.path, max_bytes)
            told, moved = fetch.sha256_of(file), 0
            fetch.check_digest(told, source.sha256, source.path)
        else:
            file = opened.enter_context(_new_file(scratch))
            told = fetch.fetch(str(source.url), file, source.sha256, max_bytes)
            moved = file.tell()
        yield file, told, moved


def _open_archive(path: str) -> IO[bytes]:
    try:
        return os.fdopen(open_regular(path), "rb")
    except FileNotFoundError:
        raise InstallProblem(f"{path} is not a file of this host.", "Copy the archive there, or name a URL.") from None
    except PathProblem as error:
        raise InstallProblem(error.problem, error.remedy) from error


def _copied(file: IO[bytes], copy: IO[bytes], name: str, max_bytes: int) -> IO[bytes]:
    """What is hashed stays what is unpacked, whoever writes to the file meanwhile."""
    left = max_bytes
    while True:
        block = file.read(fetch.READ_BYTES)
        if not block:
            break
        left -= len(block)
        if left < 0:
            raise InstallProblem(f"{name} is larger than {max_bytes:,} bytes.", "A release is not so large.")
        copy.write(block)
    copy.flush()
    return copy


def install(
    engine: engines.Engine, root: str, version: str, sources: Sequence[Source], max_bytes: int, *, record: Record
) -> Unpacked:
    """Put <root>/<version> in place. A kill at any point leaves no such directory, the old one or the new one.

    record: notes the version's directory and its checksums; when that fails, everything is as it was.
    """
    releases.check_version(version)
    digests: List[str] = []
    fetched = unpacked = 0
    with _on_disk(root), releases.open_root(root, make=True) as top, _scratch(top, version) as scratch:
        with scratch.enter("tree", make=True) as tree:
            for index, source in enumerate(sources):
                with _bring(source, scratch, max_bytes) as (file, told, moved):
                    digests.append(told)
                    fetched += moved
                    if index == 0:
                        unpacked += archive.unpack(file, source.name, tree, max_bytes)
                        engines.arrange(engine, tree, source.name)
                    else:
                        with scratch.enter(f"extra-{index}", make=True) as extra:
                            unpacked += archive.unpack(file, source.name, extra, max_bytes - unpacked)
                            engines.add(engine, tree, extra)
            target.check_tree(tree)
            # The program runs as nobody, who has to reach it; the name is random, and all in it is root's.
            os.fchmod(scratch.fd, 0o711)
            told_version = engines.prove(engine, tree.path, version)
        _take_place(top, scratch, version, lambda path: record(path, digests))
    return Unpacked(tuple(digests), told_version, fetched)


@contextlib.contextmanager
def _on_disk(root: str) -> Iterator[None]:
    """What goes wrong with the disk under our hands is no fault of an archive."""
    try:
        yield
    except PathProblem as error:
        raise InstallProblem(error.problem, error.remedy) from error
    except OSError as error:
        if error.errno is None:
            raise
        raise InstallProblem(
            f"{root} cannot be written: {error.strerror}.",
            "Look at the disk (df, mount) and run again; nothing that serves was changed.",
        ) from error


def _take_place(top: Directory, scratch: Directory, version: str, record: Callable[[str], object]) -> None:
    gone = f".{version}.{secrets.token_hex(8)}.gone"
    old = top.status(version) is not None
    if old:
        os.rename(version, gone, src_dir_fd=top.fd, dst_dir_fd=top.fd)
    os.rename("tree", version, src_dir_fd=scratch.fd, dst_dir_fd=top.fd)
    try:
        record(releases.directory(top.path, version))
    except BaseException:
        os.rename(version, "tree", src_dir_fd=top.fd, dst_dir_fd=scratch.fd)
        if old:
            os.rename(gone, version, src_dir_fd=top.fd, dst_dir_fd=top.fd)
        raise
    if old:
        with contextlib.suppress(OSError):  # swept by the next run
            remove_entry(top, gone)


def adopt(engine: engines.Engine, root: str, prefix: str, record: Record) -> str:
    """Take an installation of install.sh (<prefix>/bin, <prefix>/lib/ollama) in as a version to go back to.

    Hard links of what is root's alone, where the file system allows it: the running server keeps its own files until it
    is restarted.
    """
    version = releases.check_version(foreign.installed_version(engine, prefix))
    with _on_disk(root), releases.open_root(root, make=True) as top, Directory.open(prefix) as before:
        if top.status(version) is not None:
            return version
        with _scratch(top, version) as scratch:
            with scratch.enter("tree", make=True) as tree:
                with before.enter("bin") as source, tree.enter("bin", make=True) as programs:
                    _take_file(source, programs, engine.program)
                with contextlib.ExitStack() as opened:
                    try:
                        libraries = opened.enter_context(before.enter("lib"))
                        libraries = opened.enter_context(libraries.enter(engine.program))
                    except FileNotFoundError:
                        pass
                    else:
                        into = opened.enter_context(tree.enter("lib", make=True))
                        _take_tree(libraries, opened.enter_context(into.enter(engine.program, make=True)))
            _take_place(top, scratch, version, lambda path: record(path, ()))
    return version


def _take_tree(source: Directory, into: Directory) -> None:
    for name in source.names():
        status = source.status(name)
        if status is None:
            continue
        if stat.S_ISDIR(status.st_mode):
            with source.enter(name) as below, into.enter(name, make=True) as deeper:
                _take_tree(below, deeper)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source.fd), name, dir_fd=into.fd)
        else:
            _take_file(source, into, name)


def _take_file(source: Directory, into: Directory, name: str) -> None:
    with os.fdopen(source.open_file(name), "rb") as file:
        status = os.fstat(file.fileno())
        if status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o7022:
            with contextlib.suppress(OSError):
                os.link(name, name, src_dir_fd=source.fd, dst_dir_fd=into.fd, follow_symlinks=False)
                linked = into.status(name)
                if linked is not None and os.path.samestat(linked, status):
                    return
                os.unlink(name, dir_fd=into.fd)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=into.fd), "wb") as copy:
            while True:
                block = file.read(fetch.READ_BYTES)
                if not block:
                    break
                copy.write(block)
            os.fchmod(copy.fileno(), 0o755 if status.st_mode & 0o111 else 0o644)


def give_back(engine: engines.Engine, root: str, version: str, path: str) -> None:
    """Put the command of an adopted version back where install.sh had it, in place of our link."""
    with _on_disk(root), releases.open_root(root) as top, top.enter(version) as tree, tree.enter("bin") as programs:
        file = os.fdopen(programs.open_file(engine.program), "rb")
        with file:
            write_stream(path, lambda sink: shutil.copyfileobj(file, sink, fetch.READ_BYTES), mode=0o755)
