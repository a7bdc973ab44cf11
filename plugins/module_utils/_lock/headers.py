# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The headers of shards that lie on a hub, read by ranges: a few MiB tell what 200 GB are."""

from __future__ import annotations

import hashlib
import os
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, replace
from typing import Any, List, Mapping, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import open_input
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import (
    GgufError,
    Header,
    NeedMore,
    parse_header,
    read_header,
)
from ansible_collections.gguf.fleet.plugins.module_utils._http.answer import read_body
from ansible_collections.gguf.fleet.plugins.module_utils._http.client import HttpClient
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError, Transient
from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import ListedFile, is_sha256
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.selection import shown_size

FIRST_READ_BYTES = 256 << 10
GROWTH = 4
ATTEMPTS = 4
LONGEST_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Shard:
    """A file of the set, with its size and checksum as both the listing and the server tell them, and its header."""

    file: ListedFile
    header: Header

    @property
    def size_bytes(self) -> int:
        return self.file.size_bytes or 0


def read_shard(file: ListedFile, client: HttpClient) -> Shard:
    """Read the header and compare what the server says about the file with what the listing says."""
    try:
        if urllib.parse.urlsplit(file.url).scheme == "file":
            return Shard(file, read_header(local_path(file.url)))
        return _read_remote(file, client)
    except GgufError as error:
        raise HubProblem(f"{file.path}: {error.problem}", error.remedy) from error
    except TransferError as error:
        raise HubProblem(error.problem, error.remedy) from error
    except OSError as error:
        raise _unreadable(file, error) from error


def read_locked(lock: Mapping[str, Any], client: HttpClient) -> List[Header]:
    """The headers of a checked lock's files, which must be those that were locked."""
    found = []
    for file in lock["files"]:
        header = read_shard(ListedFile(file["path"], file["size_bytes"], file["sha256"], file["url"]), client).header
        locked = file.get("header_sha256")
        if locked is not None and hashlib.sha256(header.raw).hexdigest() != locked:
            raise HubProblem(
                f"{file['path']}: the header is not the one that was locked.",
                "Resolve again if the publisher replaced the file; otherwise this address is wrong.",
            )
        found.append(header)
    return found


def read_bytes(file: ListedFile, start: int, length_bytes: int, client: HttpClient) -> bytes:
    """A small range of a file, wherever it lies."""
    try:
        if urllib.parse.urlsplit(file.url).scheme != "file":
            return _read_range(file, start, length_bytes, client)[0]
        with os.fdopen(open_input(local_path(file.url)).fd, "rb") as stream:
            stream.seek(start)
            return stream.read(length_bytes)
    except TransferError as error:
        raise HubProblem(error.problem, error.remedy) from error
    except OSError as error:
        raise _unreadable(file, error) from error


def local_path(url: str) -> str:
    """The path that a file URL names."""
    return urllib.request.url2pathname(urllib.parse.urlsplit(url).path)


def _read_remote(file: ListedFile, client: HttpClient) -> Shard:
    data, wanted = b"", FIRST_READ_BYTES
    while True:
        missing = wanted - len(data)
        if file.size_bytes is not None:
            missing = min(missing, file.size_bytes - len(data))
        more, total_bytes, told_digest = _read_range(file, len(data), max(missing, 1), client)
        data += more
        file = _agreed(file, total_bytes, told_digest)
        try:
            return Shard(file, parse_header(data, size_bytes=file.size_bytes))
        except NeedMore as need:
            if not more:
                raise HubProblem(
                    f"{file.path} ends inside its header, after {len(data):,} bytes.",
                    "The file on the hub is incomplete: try later or another revision.",
                ) from need
            wanted = max(need.total_bytes, len(data) * GROWTH)


def _read_range(
    file: ListedFile, start: int, length_bytes: int, client: HttpClient
) -> Tuple[bytes, Optional[int], Optional[str]]:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            body = client.open_range(file.url, start, length_bytes)
            data = read_body(body, start, length_bytes, timeout_seconds=client.timeout_seconds)
            return data, body.total_bytes, body.linked_etag
        except Transient as error:
            if attempt == ATTEMPTS:
                raise
            wished = error.retry_after_seconds
            time.sleep(min(attempt if wished is None else wished, LONGEST_WAIT_SECONDS))
    raise AssertionError("the last attempt returns or raises")


def _unreadable(file: ListedFile, error: OSError) -> HubProblem:
    return HubProblem(f"{file.path} cannot be read: {error.strerror}.", "Look at the file and its permissions.")


def _agreed(file: ListedFile, total_bytes: Optional[int], told_digest: Optional[str]) -> ListedFile:
    """The file with what was not known before; a contradiction between listing and server ends it."""
    if total_bytes is not None and file.size_bytes not in (None, total_bytes):
        raise HubProblem(
            f"The listing gives {file.path} {file.size_bytes:,} bytes, but the server has {total_bytes:,} bytes "
            f"({shown_size(total_bytes)}).",
            "The file is being replaced, or this endpoint's listing is wrong: try later or another endpoint.",
        )
    digest = (told_digest or "").strip('"').lower()
    if is_sha256(digest) and file.sha256 not in (None, digest):
        raise HubProblem(
            f"The listing gives {file.path} the sha256 {file.sha256}, but the server says {digest}.",
            "The file is being replaced, or this endpoint's listing is wrong: try later or another endpoint.",
        )
    if total_bytes is None and file.size_bytes is None:
        raise HubProblem(f"The server does not say the size of {file.path}.", "Take a mirror that supports ranges.")
    return replace(
        file,
        size_bytes=file.size_bytes if file.size_bytes is not None else total_bytes,
        sha256=file.sha256 or (digest if is_sha256(digest) else None),
    )
