# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hub double offers: a folder tree ``<root>/<owner>/<repo>[@<revision>]/<path>``."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Optional, Tuple

SUMS_FILE = ".hub-double-checksums.json"
READ_BYTES = 1 << 20
# Below this a checksum is quicker computed than stored.
WORTH_STORING_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class StoredFile:
    """One file of a repository at one revision."""

    repo: str
    path: str
    size_bytes: int
    location: Path


@dataclasses.dataclass(frozen=True)
class Revision:
    """A branch or tag of a repository: its name, its commit, and the folder that holds its files."""

    repo: str
    name: str
    commit: str
    folder: Path
    is_branch: bool


class Catalog:
    """Repositories on disk. Checksums are computed once a file version and kept in a file beside the repositories."""

    def __init__(self, root: Path, checksums_file: Optional[Path] = None) -> None:
        self.root = root
        self._checksums_file = checksums_file or root / SUMS_FILE
        self._lock = threading.Lock()
        self._digests: Dict[str, List[object]] = self._load_digests()

    def revisions(self, repo: str) -> List[Revision]:
        """The branch first, then the tags; empty when there is no such repository."""
        owner, _separator, name = repo.partition("/")
        folder = self.root / owner
        if not name or "/" in name or name.startswith(".") or owner in ("", ".", "..") or not folder.is_dir():
            return []
        found = []
        if (folder / name).is_dir():
            found.append(self._revision(repo, "", folder / name))
        for tag in sorted(folder.glob(name + "@*")):
            found.append(self._revision(repo, tag.name.partition("@")[2], tag))
        return found

    def revision(self, repo: str, wanted: str) -> Optional[Revision]:
        """A revision by branch name (``master`` and ``main`` are the same one here), tag or commit."""
        for revision in self.revisions(repo):
            branch = revision.is_branch and wanted in ("master", "main", "HEAD")
            if branch or wanted in (revision.name, revision.commit):
                return revision
        return None

    def files(self, revision: Revision) -> List[StoredFile]:
        paths = [(location.relative_to(revision.folder).as_posix(), location) for location in _walk(revision.folder)]
        return [StoredFile(revision.repo, path, location.stat().st_size, location) for path, location in paths]

    def file(self, revision: Revision, path: str) -> Optional[StoredFile]:
        location = revision.folder / path
        parts = path.split("/")
        if ".." in parts or "" in parts or not location.is_file():
            return None
        return StoredFile(revision.repo, path, location.stat().st_size, location)

    def repositories(self) -> List[str]:
        names = {
            f"{folder.parent.name}/{folder.name.partition('@')[0]}"
            for folder in self.root.glob("*/*")
            if folder.is_dir() and folder.parent.name != "releases"
        }
        return sorted(names)

    def sha256(self, location: Path) -> str:
        """The file's digest, read from the cache when device time and size are those of the cached entry."""
        status = location.stat()
        key, seen = str(location.relative_to(self.root)), [status.st_size, status.st_mtime_ns]
        with self._lock:
            cached = self._digests.get(key)
            if cached is not None and cached[:2] == seen:
                return str(cached[2])
        digest = _hash_file(location)
        with self._lock:
            self._digests[key] = [*seen, digest]
            if status.st_size >= WORTH_STORING_BYTES:
                self._store_digests()
        return digest

    def index(self) -> int:
        """Compute every checksum now, so that the first listing is quick; returns the number of files."""
        count = 0
        for repo in self.repositories():
            for revision in self.revisions(repo):
                for file in self.files(revision):
                    self.sha256(file.location)
                    count += 1
        return count

    def _revision(self, repo: str, name: str, folder: Path) -> Revision:
        listing = hashlib.sha1()
        for location in _walk(folder):
            listing.update(f"{location.relative_to(folder).as_posix()}\0{self.sha256(location)}\n".encode())
        return Revision(repo, name or "master", listing.hexdigest(), folder, is_branch=not name)

    def _load_digests(self) -> Dict[str, List[object]]:
        try:
            loaded = json.loads(self._checksums_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return loaded if isinstance(loaded, dict) else {}

    def _store_digests(self) -> None:
        temporary = self._checksums_file.with_name(self._checksums_file.name + f".{os.getpid()}")
        try:
            temporary.write_text(json.dumps(self._digests, indent=1, sort_keys=True), encoding="utf-8")
            temporary.replace(self._checksums_file)
        except OSError:
            return  # a read-only root only costs the checksums again at the next start


def tree_folders(files: List[StoredFile]) -> List[str]:
    """Every folder that the files lie in, parents first."""
    folders = {
        "/".join(parts[:depth]) for parts in (file.path.split("/") for file in files) for depth in range(1, len(parts))
    }
    return sorted(folders)


def query_value(query: Mapping[str, List[str]], name: str, default: str = "") -> str:
    values = query.get(name)
    return values[0] if values else default


def split_repo(parts: List[str]) -> Tuple[str, List[str]]:
    """``[owner, name, *rest]`` as ``("owner/name", rest)``."""
    return "/".join(parts[:2]), parts[2:]


def _walk(folder: Path) -> Iterator[Path]:
    for location in sorted(folder.rglob("*")):
        if location.is_file() and not location.name.startswith(SUMS_FILE):
            yield location


def _hash_file(location: Path) -> str:
    digest = hashlib.sha256()
    with location.open("rb") as stream:
        for block in iter(lambda: stream.read(READ_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()
