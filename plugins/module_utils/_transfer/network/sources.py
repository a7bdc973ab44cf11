# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Where the bytes come from: the lock's own addresses, mirrors, directories; all through one interface."""

from __future__ import annotations

import errno
import os
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Protocol, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import open_input
from ansible_collections.gguf.fleet.plugins.module_utils._http.client import (
    NO_SECRETS,
    READ_TIMEOUT_SECONDS,
    HttpClient,
)
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import SourceError, TransferError, Transient
from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import (
    Secrets,
    origin_of,
    shown_url,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import LockedFile

_STALE = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN}


class ByteStream(Protocol):
    """Bytes of one file from ``start`` on; ``whole`` when the source cannot start anywhere else than at 0."""

    start: int
    whole: bool

    def readinto(self, view: memoryview) -> int: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Access:
    """What it takes to be let in."""

    secrets: Secrets = NO_SECRETS
    ca_file: Optional[str] = None
    timeout_seconds: float = READ_TIMEOUT_SECONDS


def is_path(url: str) -> bool:
    return url.startswith(("/", "file:"))


def path_of(url: str) -> str:
    return urllib.request.url2pathname(urllib.parse.urlsplit(url).path) if url.startswith("file:") else url


class FileStream:
    """A range of a local file."""

    whole = False

    def __init__(self, path: str, start: int, length_bytes: int) -> None:
        try:
            self._descriptor = open_input(path).fd
        except PathProblem as problem:
            raise SourceError(problem.problem, problem.remedy, reason="not-readable") from problem
        except OSError as error:
            raise _path_problem(path, error) from error
        self.path = path
        self.start = start
        self.total_bytes = os.fstat(self._descriptor).st_size
        self.etag: Optional[str] = None
        self._at = start
        self._left = length_bytes

    def readinto(self, view: memoryview) -> int:
        try:
            count = os.preadv(self._descriptor, [view[: self._left]], self._at)
        except OSError as error:
            raise _path_problem(self.path, error) from error
        if not count and self._left:
            raise Transient(f"{self.path} ended {self._left} bytes early.", reason="short-body")
        self._at += count
        self._left -= count
        return count

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _path_problem(path: str, error: OSError) -> TransferError:
    if error.errno in _STALE:
        return Transient(f"{path} cannot be read now: {error.strerror}.", reason="disk-error")
    return SourceError(
        f"{path} cannot be read: {error.strerror}.",
        "Check the path and its rights on this host, and that its file system is mounted.",
        reason="not-found" if error.errno == errno.ENOENT else "not-readable",
    )


class Session:
    """One worker's connections to one source."""

    def __init__(self, access: Access) -> None:
        self._client = HttpClient(
            secrets=access.secrets,
            ca_file=access.ca_file,
            timeout_seconds=access.timeout_seconds,
        )

    def open(self, url: str, start: int, length_bytes: int) -> ByteStream:
        if is_path(url):
            return FileStream(path_of(url), start, length_bytes)
        return self._client.open_range(url, start, length_bytes)

    def abort(self) -> None:
        """Wake the thread that waits on this session's connections; for use from another thread."""
        self._client.abort()

    def close(self) -> None:
        self._client.close()


class Source:
    """One place that has the files, and what this transfer learned about it."""

    def __init__(self, name: str, urls: Sequence[str], access: Access) -> None:
        self.name = name
        self.urls = tuple(urls)
        self.access = access
        self.ranges = True
        self.serves_only: Optional[int] = None
        self.bytes_per_second = 0.0
        self.refused: Dict[int, TransferError] = {}
        # Attempts in a row that brought hardly a byte, and until when it is left alone because of the last one.
        self.failures = 0
        self.rests_until = 0.0
        self._failed_at = 0.0
        # A source without ranges sends whole files: one at a time.
        self.stream = threading.Lock()
        self._lock = threading.Lock()
        self._etags: Dict[int, Tuple[object, str]] = {}

    def session(self) -> Session:
        return Session(self.access)

    def serves(self, file: int) -> bool:
        return file not in self.refused and self.serves_only in (None, file)

    def refuse(self, file: int, error: TransferError) -> None:
        self.refused[file] = error

    def open(self, session: Session, index: int, file: LockedFile, start: int, length_bytes: int) -> ByteStream:
        """A stream that was checked to be of the very file that the lock means."""
        stream = session.open(self.urls[index], start, length_bytes)
        try:
            self._check(stream, index, file)
        except TransferError:
            stream.close()
            raise
        if stream.whole:
            self.ranges = False
        return stream

    def failed(self, began: float, pause_seconds: float) -> None:
        """An attempt that began then failed; connections that fail together count once."""
        now = time.monotonic()
        with self._lock:
            if began >= self._failed_at:
                self.failures += 1
                self._failed_at = now
            self.rests_until = max(self.rests_until, now + pause_seconds)

    def delivered(self) -> None:
        """Something worth its attempt came."""
        self.failures = 0

    def learn_speed(self, bytes_per_second: float) -> None:
        """A connection's speed, as a running mean."""
        known = self.bytes_per_second
        self.bytes_per_second = bytes_per_second if not known else 0.8 * known + 0.2 * bytes_per_second

    def _check(self, stream: ByteStream, index: int, file: LockedFile) -> None:
        total: Optional[int] = getattr(stream, "total_bytes", None)
        if total is not None and total != file.size_bytes:
            raise SourceError(
                f"{self.shown(index)} has {total:,} bytes; the lock says {file.size_bytes:,}.",
                "Resolve again if the publisher replaced the file; otherwise this mirror is wrong.",
                reason="wrong-size",
            )
        etag: Optional[str] = getattr(stream, "etag", None)
        if etag is None:
            return
        # Another host behind the same redirect may word its tags otherwise; on one host a new tag is a new file.
        seen = (origin_of(getattr(stream, "url", self.urls[index])), etag)
        with self._lock:
            first = self._etags.setdefault(index, seen)
        if first[0] == seen[0] and first[1] != etag:
            raise SourceError(
                f"{self.shown(index)} changed while it was fetched (ETag {first[1]}, now {etag}).",
                "Resolve again: the publisher replaced the file.",
                reason="changed",
            )

    def shown(self, index: int) -> str:
        url = self.urls[index]
        return path_of(url) if is_path(url) else shown_url(url)


def best_of(sources: Sequence[Source], file: int) -> List[Source]:
    """The sources to take a file from: copies on this host where there are some, so that it needs no network."""
    usable = [source for source in sources if source.serves(file)]
    return [source for source in usable if source.serves_only is not None] or usable


def origin_source(files: Sequence[LockedFile], access: Access) -> Source:
    """The addresses in the lock."""
    missing = next((file.path for file in files if not file.url), None)
    if missing is not None:
        raise TransferError(
            f"The lock has no address for {missing}.", "Resolve again, or name a mirror.", reason="bad-lock"
        )
    return Source(_shown_origin(files[0].url), [file.url for file in files], access)


def mirror_source(mirror: str, files: Sequence[LockedFile], lock: Mapping[str, object], access: Access) -> Source:
    """A mirror: an address or directory that the files' paths are appended to, or a pattern with {path}.

    {repo}, {revision} and {name} stand for what the lock says. A mirror gets neither token nor headers:
    those are the hub's alone.
    """
    pattern = mirror if "{" in mirror else mirror.rstrip("/") + "/{path}"
    local = is_path(pattern)
    known = {key: str(lock.get(key) or "") for key in ("repo", "revision", "commit", "quant")}
    urls = []
    for file in files:
        values = {**known, "path": file.path, "name": file.name}
        url = pattern
        for key, value in values.items():
            url = url.replace("{" + key + "}", value if local else urllib.parse.quote(value))
        urls.append(url)
    if not local:
        origin_of(urls[0])
    return Source(_shown_origin(urls[0]), urls, Access(NO_SECRETS, access.ca_file, access.timeout_seconds))


def local_source(path: str, index: int, files: Sequence[LockedFile], found_in: str) -> Source:
    """A copy of one of the files that was found on this host."""
    source = Source(f"{path} ({found_in})", [path for _file in files], Access())
    source.serves_only = index
    return source


def _shown_origin(url: str) -> str:
    if is_path(url):
        return os.path.dirname(path_of(url))
    scheme, host, port = origin_of(url)
    netloc = f"[{host}]" if ":" in host else host
    return f"{scheme}://{netloc}:{port}"
