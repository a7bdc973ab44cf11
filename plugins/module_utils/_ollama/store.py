# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Ollama's store on disk: `blobs/sha256-<digest>` and `manifests/<host>/<namespace>/<model>/<tag>`.

The directories belong to the service user, who may be an attacker, and this code runs as root: every step is taken
through the descriptor of a directory that was opened without following links, and new files are made in a directory
that only root enters and moved to their places from there. What that user left in the way of a name is set aside or
passed over with a warning, so that nobody's rubbish keeps a model out.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import re
import secrets
import stat
import time
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import Name, NameProblem, parse_name
from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.own import open_or_make_own
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_descriptor
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import WORKSHOP, workshop, write_new
from ansible_collections.gguf.fleet.plugins.module_utils._host.disk import free_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.manifest import (
    Manifest,
    ManifestProblem,
    digest_of,
    parse_manifest,
)
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import StoreProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.service_directories import hand_over, make_directory
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

# Templates, parameters, licences: the largest licence texts have some hundred kilobytes.
_MAX_SMALL_BLOB_BYTES = 16 * 2**20
# A manifest has some kilobytes; a store has some hundred of them.
_MAX_MANIFEST_BYTES = 2**20
_MAX_MANIFESTS = 10_000
_COPY_BYTES = 64 * 2**20
_ASIDE = "set-aside-"
# In the ledger's directory. The unit of the service that prunes the store names it as well.
LOCK = "ollama-store.lock"
# Blobs, and what the server's own unfinished pulls are called (ollama server/download.go).
_BLOB = re.compile(r"sha256[-:][0-9a-f]{64}(-partial(-[0-9]+)?)?")


def blob_name(digest: str) -> str:
    return digest.replace(":", "-")


class Store:
    """The store in one models directory; use it as a context manager, which also keeps other runs out.

    A server that starts removes what no manifest names. So the service, too, starts when nobody holds the lock, and a
    server that answers while it is held has its start behind it.

    locks: a directory where only root writes, with this run's lock; None to look only, without one. started: whether
    the server has; asked under the lock, which is given up until it has.
    """

    def __init__(
        self,
        models_dir: str,
        *,
        locks: Optional[str] = None,
        lock_seconds: float = 60,
        started: Callable[[], bool] = lambda: True,
    ) -> None:
        self.path = os.path.abspath(models_dir)
        # What was found that does not belong there, for people.
        self.warnings: List[str] = []
        self._locks = locks
        self._lock_seconds = lock_seconds
        self._started = started
        self._lock = -1

    def __enter__(self) -> Store:
        try:
            self._root = Directory.open(self.path)
        except FileNotFoundError:
            raise StoreProblem(
                f"There is no models directory {self.path}.",
                "Start Ollama once, which makes it, or name the directory that its OLLAMA_MODELS names.",
            ) from None
        except OSError as error:
            raise self._problem(error) from error
        self.status = os.fstat(self._root.fd)
        self.owner: Tuple[int, int] = (self.status.st_uid, self.status.st_gid)
        try:
            if self._locks is not None:
                self._lock = self._locked(self._locks)
        except BaseException:
            self._root.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._root.close()
        if self._lock >= 0:
            os.close(self._lock)

    def _locked(self, locks: str) -> int:
        """Not a lock on the store's own directory, which its user could hold for ever."""
        with self._explained(), Directory.open(locks, make=True) as directory:
            lock = open_or_make_own(directory, LOCK)
        deadline = time.monotonic() + self._lock_seconds
        why = ""
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if self._started():
                        return lock
                    # It may be waiting for the lock.
                    fcntl.flock(lock, fcntl.LOCK_UN)
                    why = f"The server of {self.path} has not answered for"
                except BlockingIOError:
                    why = f"Another run has been changing {self.path} for"
                if time.monotonic() >= deadline:
                    raise StoreProblem(f"{why} {self._lock_seconds:.0f} seconds.", "Correct that, then run again.")
                time.sleep(0.1)
        except BaseException:
            os.close(lock)
            raise

    # --- reading

    def blob_path(self, digest: str) -> str:
        return os.path.join(self.path, "blobs", blob_name(digest))

    def manifest_path(self, name: Name) -> str:
        return os.path.join(self.path, "manifests", *name.parts)

    def blob_status(self, digest: str) -> Optional[os.stat_result]:
        """Of the blob itself, even when it is a symbolic link; None when there is none."""
        return self._status(("blobs",), blob_name(digest))

    def blob_target(self, digest: str) -> Optional[os.stat_result]:
        """Of the file that the server reads as this blob; only to be compared."""
        with self._explained():
            try:
                with self._directory(("blobs",), make=False) as blobs:
                    return os.stat(blob_name(digest), dir_fd=blobs.fd)
            except (FileNotFoundError, PermissionError):
                return None
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    return None
                raise

    def manifests(self) -> Tuple[Dict[Name, Manifest], List[ManifestProblem]]:
        """All models, and what was wrong with the manifests that cannot be read."""
        found: Dict[Name, Manifest] = {}
        problems: List[ManifestProblem] = []
        for count, (parts, obstacle) in enumerate(self._walk(("manifests",), 4)):
            path = os.path.join(self.path, "manifests", *parts)
            if count >= _MAX_MANIFESTS:
                problems.append(ManifestProblem(path, f"there are more than {_MAX_MANIFESTS:,} of them"))
                break
            try:
                if obstacle:
                    raise ManifestProblem(path, obstacle)
                name = parse_name("{}/{}/{}:{}".format(*parts))
                if name.parts != parts:
                    raise ManifestProblem(path, "it is not named like a model")
                found[name] = parse_manifest(self._read(("manifests", *parts[:3]), parts[3], _MAX_MANIFEST_BYTES), path)
            except ManifestProblem as problem:
                problems.append(problem)
            except NameProblem:
                problems.append(ManifestProblem(path, "it is not named like a model"))
            except FileNotFoundError:
                # Its owner took it away just now.
                continue
            except StoreProblem as problem:
                problems.append(ManifestProblem(path, problem.problem))
        return found, problems

    def manifest_files(self) -> List[Tuple[str, ...]]:
        """The places of all manifests below `manifests/`, also of those that cannot be read."""
        places = itertools.islice(self._walk(("manifests",), 4), 10 * _MAX_MANIFESTS)
        return [parts for parts, obstacle in places if not obstacle]

    def blob_files(self) -> List[str]:
        """The names of all that is called like a blob."""
        with self._explained():
            try:
                with self._directory(("blobs",), make=False) as blobs:
                    return [name for name in blobs.names() if _BLOB.fullmatch(name)]
            except FileNotFoundError:
                return []

    def read_manifest(self, name: Name) -> Optional[bytes]:
        """None when there is none, or something that the server could not read either."""
        with contextlib.suppress(FileNotFoundError, StoreProblem):
            return self._read(("manifests", *name.parts[:3]), name.parts[3], _MAX_MANIFEST_BYTES)
        return None

    def manifest_status(self, name: Name) -> Optional[os.stat_result]:
        return self._status(("manifests", *name.parts[:3]), name.parts[3])

    def read_blob(self, digest: str) -> Optional[bytes]:
        """A small blob, when its content is what its name says."""
        with contextlib.suppress(FileNotFoundError, StoreProblem):
            data = self._read(("blobs",), blob_name(digest), _MAX_SMALL_BLOB_BYTES)
            if digest_of(data) == digest:
                return data
        return None

    def directories_of_others(self, name: Name) -> List[str]:
        """Directories on the way to the model that do not belong to the owner of the models directory."""
        strangers = []
        for parts in (("blobs",), *(("manifests", *name.parts[:depth]) for depth in range(4))):
            status = self._status(parts[:-1], parts[-1])
            if status is None or not stat.S_ISDIR(status.st_mode):
                continue
            if (status.st_uid, status.st_gid) != self.owner:
                strangers.append(os.path.join(self.path, *parts))
        return strangers

    def leftovers(self) -> List[str]:
        """What a killed run left behind."""
        with self._explained():
            return [name for name in self._root.names() if name.startswith(WORKSHOP)]

    def free_bytes(self) -> int:
        with self._explained():
            return free_bytes(self._root.fd)

    def on_same_mount(self, file: int) -> bool:
        """Whether the open file can be hard-linked into `blobs/`; no link leads out of a bind mount."""
        with self._explained():
            try:
                with self._directory(("blobs",), make=False) as blobs:
                    return _mount_of(blobs.fd) == _mount_of(file)
            except FileNotFoundError:
                return _mount_of(self._root.fd) == _mount_of(file)

    # --- changing; what is made is described by its own descriptor, whatever its name leads to by then

    def take_over(self, path: str) -> None:
        """Give a directory of the store to the owner of the models directory."""
        parts = os.path.relpath(path, self.path).split(os.sep)
        with self._explained(), self._directory(parts[:-1], make=False) as parent, parent.enter(parts[-1]) as found:
            hand_over(found, self.owner, placed_by_root=parent.only_root_changes_it())

    def hard_link(self, file: int, digest: str) -> os.stat_result:
        """The very file that is open, whatever its path leads to by now."""

        def link(room: Directory) -> None:
            os.link(f"/proc/self/fd/{file}", "file", dst_dir_fd=room.fd, follow_symlinks=True)

        return self._put(link, ("blobs",), blob_name(digest))

    def symbolic_link(self, path: str, digest: str) -> os.stat_result:
        return self._put(lambda room: os.symlink(path, "file", dir_fd=room.fd), ("blobs",), blob_name(digest))

    def copy(self, file: int, digest: str) -> os.stat_result:
        return self._put(lambda room: _copy(file, room), ("blobs",), blob_name(digest))

    def write_blob(self, data: bytes, digest: str) -> os.stat_result:
        return self._put(lambda room: self._write(room, data), ("blobs",), blob_name(digest))

    def write_manifest(self, name: Name, data: bytes) -> os.stat_result:
        return self._put(lambda room: self._write(room, data), ("manifests", *name.parts[:3]), name.parts[3])

    def remove_manifest(self, name: Name) -> int:
        """Remove a manifest and the directories that are empty then; the bytes that this frees."""
        return self.remove_manifest_file(name.parts)

    def remove_manifest_file(self, parts: Sequence[str]) -> int:
        freed = self._remove(("manifests", *parts[:3]), parts[3])
        for depth in (3, 2, 1):
            if not self._remove_empty(("manifests", *parts[: depth - 1]), parts[depth - 1]):
                break
        return freed

    def remove_blob(self, digest: str) -> int:
        """The bytes that this frees: none when the file has other names."""
        return self.remove_blob_file(blob_name(digest))

    def remove_blob_file(self, name: str) -> int:
        return self._remove(("blobs",), name)

    def remove_empty_directories(self) -> None:
        """The store's own two, when nothing is left in them."""
        for name in ("blobs", "manifests"):
            self._remove_empty((), name)

    def entries(self) -> List[str]:
        """What is in the models directory, in `blobs/` and in `manifests/`, whole paths."""
        found = []
        with self._explained():
            for name in self._root.names():
                status = self._root.status(name)
                below = name in ("blobs", "manifests") and status is not None and stat.S_ISDIR(status.st_mode)
                names = [name]
                if below:
                    with self._root.enter(name) as directory:
                        names = [os.path.join(name, entry) for entry in directory.names()] or [name]
                found += [os.path.join(self.path, entry) for entry in names]
        return found

    def remove_leftovers(self) -> None:
        """Whose they are tells: what another user named so stays, and is told of."""
        for name in self.leftovers():
            path = os.path.join(self.path, name)
            try:
                status = self._root.status(name)
                if status is None:
                    continue
                if status.st_uid != os.geteuid():
                    self._warn(f"{path} is named like a leftover of ours and belongs to another user. Remove it.")
                elif stat.S_ISDIR(status.st_mode):
                    with self._root.enter(name) as room:
                        _remove_one(room, "file")
                    os.rmdir(name, dir_fd=self._root.fd)
                else:
                    os.unlink(name, dir_fd=self._root.fd)
            except OSError as error:
                self._warn(f"{path}, left by an earlier run, cannot be removed: {error.strerror or error}. Remove it.")

    # --- steps

    def _put(self, make: Callable[[Directory], None], parts: Sequence[str], name: str) -> os.stat_result:
        """Make `file` where only we come in, then let it take its place in one step."""
        with self._explained(), workshop(self._root) as room:
            make(room)
            made = os.stat("file", dir_fd=room.fd, follow_symlinks=False)
            with self._directory(parts, make=True) as directory:
                try:
                    os.rename("file", name, src_dir_fd=room.fd, dst_dir_fd=directory.fd)
                except IsADirectoryError:
                    self._set_aside(directory, name)
                    os.rename("file", name, src_dir_fd=room.fd, dst_dir_fd=directory.fd)
                os.fsync(directory.fd)
        return made

    def _write(self, room: Directory, data: bytes) -> None:
        write_new(room, "file", data, mode=0o644, owner=self.owner)

    def _set_aside(self, directory: Directory, name: str) -> None:
        aside = _ASIDE + secrets.token_hex(8)
        os.rename(name, aside, src_dir_fd=directory.fd, dst_dir_fd=self._root.fd)
        self._warn(
            f"{os.path.join(directory.path, name)} was in the place of a file or directory of the store; "
            f"it is {os.path.join(self.path, aside)} now. Check what made it, and remove it."
        )

    def _warn(self, text: str) -> None:
        text = printable(text)
        if text not in self.warnings:
            self.warnings.append(text)

    def _remove(self, parts: Sequence[str], name: str) -> int:
        with self._explained():
            try:
                with self._directory(parts, make=False) as directory:
                    status = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        self._warn(f"{os.path.join(directory.path, name)} is a directory, not a file; it stays.")
                        return 0
                    os.unlink(name, dir_fd=directory.fd)
            except FileNotFoundError:
                return 0
        return status.st_blocks * 512 if status.st_nlink == 1 else 0

    def _remove_empty(self, parts: Sequence[str], name: str) -> bool:
        with self._explained():
            try:
                with self._directory(parts, make=False) as parent:
                    os.rmdir(name, dir_fd=parent.fd)
            except OSError as error:
                # A link, a file or a mount in its place is not ours to remove.
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EBUSY):
                    return False
                raise
        return True

    def _status(self, parts: Sequence[str], name: str) -> Optional[os.stat_result]:
        with self._explained():
            try:
                with self._directory(parts, make=False) as directory:
                    return directory.status(name)
            except FileNotFoundError:
                return None

    def _read(self, parts: Sequence[str], name: str, limit_bytes: int) -> bytes:
        with self._explained(), self._directory(parts, make=False) as directory:
            path = os.path.join(directory.path, name)
            return read_descriptor(directory.open_file(name), path, limit_bytes=limit_bytes)

    def _walk(self, parts: Sequence[str], depth: int) -> Iterator[Tuple[Tuple[str, ...], str]]:
        """The files `depth` levels below `parts`, relative to there, and what makes it impossible to look further."""
        entries: List[Tuple[str, bool, bool]] = []
        too_many = False
        with self._explained():
            try:
                with self._directory(parts, make=False) as directory, os.scandir(directory.fd) as listing:
                    for entry in listing:
                        if len(entries) == _MAX_MANIFESTS:
                            too_many = True
                            break
                        entries.append((entry.name, entry.is_dir(follow_symlinks=False), entry.is_symlink()))
            except FileNotFoundError:
                return
        for name, is_directory, is_link in sorted(entries):
            if is_directory and depth > 1:
                try:
                    for below, obstacle in self._walk((*parts, name), depth - 1):
                        yield (name, *below), obstacle
                except StoreProblem as problem:
                    yield (name,), problem.problem
            elif depth == 1:
                yield (name,), "it is a directory" if is_directory else ""
            elif is_link:
                yield (name,), "it is a link where a directory is expected"
        if too_many:
            yield (), f"more than {_MAX_MANIFESTS:,} entries are in one directory"

    @contextlib.contextmanager
    def _directory(self, parts: Sequence[str], *, make: bool) -> Iterator[Directory]:
        """With `make`, missing directories are made for the owner of the store."""
        current = Directory(os.dup(self._root.fd), self.path)
        try:
            for part in parts:
                if make:
                    self._make_directory(current, part)
                elif _is_in_the_way(current.status(part)):
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.path.join(current.path, part))
                below = current.enter(part)
                current.close()
                current = below
            yield current
        finally:
            current.close()

    def _make_directory(self, parent: Directory, name: str) -> None:
        """Make it, when there is none, in one step: the server could not enter one that a killed run left as root's.

        Links stay: they may be an operator's, and are refused.
        """
        status = parent.status(name)
        if _is_in_the_way(status):
            self._set_aside(parent, name)
        elif status is not None:
            return
        make_directory(parent, name, self.owner, self._root)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._problem(error) from error

    def _problem(self, error: OSError) -> StoreProblem:
        if isinstance(error, PathProblem):
            return StoreProblem(error.problem, error.remedy)
        return StoreProblem(
            f"The store in {self.path} cannot be used: {error.strerror or error}"
            + (f" ({error.filename})." if error.filename else "."),
            _REMEDIES.get(error.errno or 0, "Check that directory and its file system, then run again."),
        )


_REMEDIES = {
    errno.ENOSPC: "Make room on that file system, then run again; nothing was left half done.",
    errno.EDQUOT: "Raise the quota or make room, then run again; nothing was left half done.",
    errno.EROFS: "Mount that file system for writing, then run again.",
    errno.EACCES: "Run as root (become: true).",
    errno.EPERM: "Run as root (become: true); on a network file system allow root to write there.",
    errno.ENOTDIR: "Name the directory that Ollama's OLLAMA_MODELS names.",
    errno.EXDEV: "blobs/ and manifests/ must be on the file system of the models directory.",
}


def _is_in_the_way(status: Optional[os.stat_result]) -> bool:
    """Whether this, in the place of a directory, is neither one nor a link to one."""
    return status is not None and not stat.S_ISDIR(status.st_mode) and not stat.S_ISLNK(status.st_mode)


def _remove_one(directory: Directory, name: str) -> None:
    """A file, a link or an empty directory; nothing when it is not there."""
    status = directory.status(name)
    if status is not None and stat.S_ISDIR(status.st_mode):
        os.rmdir(name, dir_fd=directory.fd)
    elif status is not None:
        os.unlink(name, dir_fd=directory.fd)


def _copy(source: int, room: Directory) -> None:
    """A copy within the kernel; it stays root's, as the file is."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    target = os.open("file", flags, 0o600, dir_fd=room.fd)
    try:
        done = 0
        while moved := _copy_some(source, target, done):
            done += moved
        os.fchmod(target, 0o444)
        os.fsync(target)
    finally:
        os.close(target)


def _mount_of(handle: int) -> str:
    with open(f"/proc/self/fdinfo/{handle}", encoding="ascii") as file:
        return next((line for line in file if line.startswith("mnt_id:")), "")


def _copy_some(source: int, target: int, offset: int) -> int:
    try:
        return os.copy_file_range(source, target, _COPY_BYTES, offset)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
            raise
    return os.sendfile(target, source, offset, _COPY_BYTES)
