# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Ollama's store on disk: `blobs/sha256-<digest>` and `manifests/<host>/<namespace>/<model>/<tag>`.

The directories belong to the service user, who may be an attacker, and this code runs as root: every step is taken
through the handle of a directory that was opened without following links, and new files are made beside the store's own
directories and renamed into place.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.manifest import (
    Manifest,
    ManifestProblem,
    digest_of,
    parse_manifest,
)
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.names import Name, NameProblem, parse_name
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TEMPORARY = ".gguf-fleet-"
# Templates, parameters, licences: the largest licence texts have some hundred kilobytes.
_MAX_SMALL_BLOB_BYTES = 16 * 2**20
_MAX_MANIFEST_BYTES = 4 * 2**20
_COPY_BYTES = 64 * 2**20


class StoreProblem(OllamaProblem):
    """The store cannot be read or changed."""


def blob_name(digest: str) -> str:
    return digest.replace(":", "-")


class Store:
    """The store in one models directory; use it as a context manager, which also keeps other runs out."""

    def __init__(self, models_dir: str, *, lock_seconds: float = 60) -> None:
        self.path = os.path.abspath(models_dir)
        self._lock_seconds = lock_seconds
        self._root = -1

    def __enter__(self) -> Store:
        with self._explained():
            self._root = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            status = os.fstat(self._root)
        self.owner: Tuple[int, int] = (status.st_uid, status.st_gid)
        self.device = status.st_dev
        try:
            self._lock()
        except BaseException:
            os.close(self._root)
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self._root)

    def _lock(self) -> None:
        deadline = time.monotonic() + self._lock_seconds
        while True:
            try:
                fcntl.flock(self._root, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise StoreProblem(
                        f"Another run has been changing {self.path} for {self._lock_seconds:.0f} seconds.",
                        "Wait for it to end, then run again.",
                    ) from None
            time.sleep(0.1)

    # --- reading

    def blob_path(self, digest: str) -> str:
        return os.path.join(self.path, "blobs", blob_name(digest))

    def manifest_path(self, name: Name) -> str:
        return os.path.join(self.path, "manifests", *name.parts)

    def blob_status(self, digest: str) -> Optional[os.stat_result]:
        """Of the blob itself, even when it is a symbolic link; None when there is none."""
        return self._status(("blobs",), blob_name(digest))

    def manifests(self) -> Tuple[Dict[Name, Manifest], List[ManifestProblem]]:
        """All models, and what was wrong with the manifests that cannot be read."""
        found: Dict[Name, Manifest] = {}
        problems: List[ManifestProblem] = []
        for parts in self._walk(("manifests",), 4):
            path = os.path.join(self.path, "manifests", *parts)
            try:
                name = parse_name("{}/{}/{}:{}".format(*parts))
                found[name] = parse_manifest(self._read(("manifests", *parts[:3]), parts[3], _MAX_MANIFEST_BYTES), path)
            except ManifestProblem as problem:
                problems.append(problem)
            except NameProblem:
                problems.append(ManifestProblem(path, "it is not named like a model"))
        return found, problems

    def read_manifest(self, name: Name) -> Optional[bytes]:
        with contextlib.suppress(FileNotFoundError):
            return self._read(("manifests", *name.parts[:3]), name.parts[3], _MAX_MANIFEST_BYTES)
        return None

    def manifest_status(self, name: Name) -> Optional[os.stat_result]:
        return self._status(("manifests", *name.parts[:3]), name.parts[3])

    def read_blob(self, digest: str) -> Optional[bytes]:
        """A small blob, when its content is what its name says."""
        with contextlib.suppress(FileNotFoundError):
            data = self._read(("blobs",), blob_name(digest), _MAX_SMALL_BLOB_BYTES)
            if digest_of(data) == digest:
                return data
        return None

    def directories_of_others(self, name: Name) -> List[str]:
        """Directories on the way to the model that do not belong to the owner of the models directory."""
        strangers = []
        for parts in (("blobs",), *(("manifests", *name.parts[:depth]) for depth in range(4))):
            status = self._status(parts[:-1], parts[-1])
            if status is not None and (status.st_uid, status.st_gid) != self.owner:
                strangers.append(os.path.join(self.path, *parts))
        return strangers

    def empty_directories(self) -> List[str]:
        return [name for name in ("blobs", "manifests") if self._status((), name) is None]

    def leftovers(self) -> List[str]:
        """What a killed run left behind."""
        with self._explained():
            return sorted(name for name in os.listdir(self._root) if name.startswith(_TEMPORARY))

    def free_bytes(self) -> int:
        with self._explained():
            status = os.fstatvfs(self._root)
        return status.f_bavail * status.f_frsize

    def on_same_mount(self, path: str) -> bool:
        """Whether `path` can be hard-linked into `blobs/`; no link leads out of a bind mount."""
        with self._explained():
            blobs = self._open_directory(("blobs",), make=False) if self._status((), "blobs") else os.dup(self._root)
            try:
                other = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    return _mount_of(blobs) == _mount_of(other)
                finally:
                    os.close(other)
            finally:
                os.close(blobs)

    # --- changing

    def take_over(self, path: str) -> None:
        """Give a directory of the store to the owner of the models directory."""
        parts = os.path.relpath(path, self.path).split(os.sep)
        with self._explained(), self._directory(parts, make=False) as handle:
            os.fchown(handle, *self.owner)

    def hard_link(self, file: str, digest: str) -> None:
        self._put(lambda name: os.link(file, name, dst_dir_fd=self._root, follow_symlinks=True), digest)

    def symbolic_link(self, file: str, digest: str) -> None:
        self._put(lambda name: os.symlink(file, name, dir_fd=self._root), digest)

    def copy(self, file: str, digest: str) -> None:
        self._put(lambda name: self._copy(file, name), digest)

    def write_blob(self, data: bytes, digest: str) -> None:
        self._put(lambda name: self._write(name, data), digest)

    def write_manifest(self, name: Name, data: bytes) -> None:
        temporary = self._temporary()
        with self._explained():
            try:
                self._write(temporary, data)
                with self._directory(("manifests", *name.parts[:3]), make=True) as directory:
                    os.rename(temporary, name.parts[3], src_dir_fd=self._root, dst_dir_fd=directory)
                    os.fsync(directory)
            except BaseException:
                self._discard(temporary)
                raise

    def remove_manifest(self, name: Name) -> int:
        """Remove a manifest and the directories that are empty then; the bytes that this frees."""
        freed = self._remove(("manifests", *name.parts[:3]), name.parts[3])
        for depth in (3, 2, 1):
            parts = ("manifests", *name.parts[:depth])
            with self._explained(), self._directory(parts[:-1], make=False) as parent:
                try:
                    os.rmdir(parts[-1], dir_fd=parent)
                except OSError as error:
                    if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                        break
                    raise
        return freed

    def remove_blob(self, digest: str) -> int:
        """The bytes that this frees: none when the file has other names."""
        return self._remove(("blobs",), blob_name(digest))

    def remove_leftovers(self) -> None:
        for name in self.leftovers():
            with self._explained():
                os.unlink(name, dir_fd=self._root)

    # --- steps

    def _put(self, make: Callable[[str], None], digest: str) -> None:
        """Make a file under a temporary name, then let it take the blob's place in one step."""
        temporary = self._temporary()
        with self._explained():
            try:
                make(temporary)
                with self._directory(("blobs",), make=True) as blobs:
                    os.rename(temporary, blob_name(digest), src_dir_fd=self._root, dst_dir_fd=blobs)
                    os.fsync(blobs)
            finally:
                # rename(2) of two names of the same file does nothing and leaves both.
                self._discard(temporary)

    def _write(self, name: str, data: bytes) -> None:
        handle = self._create(name)
        try:
            with os.fdopen(handle, "wb", closefd=False) as file:
                file.write(data)
            os.fchmod(handle, 0o644)
            if os.geteuid() == 0:
                os.fchown(handle, *self.owner)
            os.fsync(handle)
        finally:
            os.close(handle)

    def _copy(self, file: str, name: str) -> None:
        """A copy within the kernel; it stays root's, as the file is."""
        source = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            handle = self._create(name)
            try:
                while _copy_some(source, handle):
                    pass
                os.fchmod(handle, 0o444)
                os.fsync(handle)
            finally:
                os.close(handle)
        finally:
            os.close(source)

    def _create(self, name: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o600, dir_fd=self._root)

    def _temporary(self) -> str:
        return f"{_TEMPORARY}{secrets.token_hex(8)}"

    def _discard(self, temporary: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=self._root)

    def _remove(self, parts: Sequence[str], name: str) -> int:
        with self._explained():
            try:
                with self._directory(parts, make=False) as directory:
                    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                    os.unlink(name, dir_fd=directory)
            except FileNotFoundError:
                return 0
        return status.st_blocks * 512 if status.st_nlink == 1 else 0

    def _status(self, parts: Sequence[str], name: str) -> Optional[os.stat_result]:
        with self._explained():
            try:
                with self._directory(parts, make=False) as directory:
                    return os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def _read(self, parts: Sequence[str], name: str, limit_bytes: int) -> bytes:
        path = os.path.join(self.path, *parts, name)
        with self._explained(), self._directory(parts, make=False) as directory:
            # A pipe in the place of a file must not make us wait.
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
            with os.fdopen(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise StoreProblem(f"{path} is not a file.", "Remove it.")
                data = file.read(limit_bytes + 1)
        if len(data) > limit_bytes:
            raise StoreProblem(f"{path} is larger than {limit_bytes // 2**20} MiB.", "Remove its model and run again.")
        return data

    def _walk(self, parts: Sequence[str], depth: int) -> Iterator[Tuple[str, ...]]:
        """The files `depth` levels below `parts`, relative to there."""
        with self._explained():
            try:
                with self._directory(parts, make=False) as directory, os.scandir(directory) as listing:
                    entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing)
            except FileNotFoundError:
                return
        for name, is_directory in entries:
            if is_directory and depth > 1:
                for below in self._walk((*parts, name), depth - 1):
                    yield (name, *below)
            elif not is_directory and depth == 1:
                yield (name,)

    @contextlib.contextmanager
    def _directory(self, parts: Sequence[str], *, make: bool) -> Iterator[int]:
        handle = self._open_directory(parts, make=make)
        try:
            yield handle
        finally:
            os.close(handle)

    def _open_directory(self, parts: Sequence[str], *, make: bool) -> int:
        handle = os.dup(self._root)
        for part in parts:
            try:
                below = self._enter(handle, part, make)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise StoreProblem(
                        f"{os.path.join(self.path, *parts)} is not a plain directory ('{part}' is a link or a file).",
                        "Name the real directory as models_dir, or use a bind mount.",
                    ) from None
                raise
            finally:
                os.close(handle)
            handle = below
        return handle

    def _enter(self, parent: int, name: str, make: bool) -> int:
        made = False
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=parent)
                made = True
        handle = os.open(name, _DIRECTORY, dir_fd=parent)
        if made:
            os.fchmod(handle, 0o755)
            if os.geteuid() == 0:
                os.fchown(handle, *self.owner)
        return handle

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if self._root == -1:
                raise StoreProblem(
                    f"There is no models directory {self.path}.",
                    "Start Ollama once, which makes it, or name the directory that its OLLAMA_MODELS names.",
                ) from error
            raise
        except OSError as error:
            raise StoreProblem(
                f"The store in {self.path} cannot be used: {error.strerror}"
                + (f" ({error.filename})." if error.filename else "."),
                _REMEDIES.get(error.errno or 0, "Check that directory and its file system, then run again."),
            ) from error


_REMEDIES = {
    errno.ENOSPC: "Make room on that file system, then run again; nothing was left half done.",
    errno.EDQUOT: "Raise the quota or make room, then run again; nothing was left half done.",
    errno.EROFS: "Mount that file system for writing, then run again.",
    errno.EACCES: "Run as root (become: true).",
    errno.EPERM: "Run as root (become: true); on a network file system allow root to write there.",
    errno.ENOTDIR: "Name the directory that Ollama's OLLAMA_MODELS names.",
    errno.EXDEV: "blobs/ and manifests/ must be on the file system of the models directory.",
}


def _mount_of(handle: int) -> str:
    with open(f"/proc/self/fdinfo/{handle}", encoding="ascii") as file:
        return next((line for line in file if line.startswith("mnt_id:")), "")


def _copy_some(source: int, target: int) -> int:
    try:
        return os.copy_file_range(source, target, _COPY_BYTES)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
            raise
    return os.sendfile(target, source, None, _COPY_BYTES)
