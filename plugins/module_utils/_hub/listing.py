# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a hub says it holds. Every word of it is hostile input until it passed through here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterable, List, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._hub.problem import HubProblem

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
# A drive letter or a stream name means something else on other systems, a backslash is their separator.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\:]")
MAX_PATH_BYTES = 1024


@dataclass(frozen=True)
class ListedFile:
    """One file as the hub lists it; ``size_bytes`` and ``sha256`` are None where the hub does not tell."""

    path: str
    size_bytes: Optional[int]
    sha256: Optional[str]
    url: str


@dataclass(frozen=True)
class Listing:
    """The files of one revision. ``commit`` is what the revision was pinned to, where the hub has commits."""

    hub: str
    endpoint: Optional[str]
    repo: Optional[str]
    revision: Optional[str]
    commit: Optional[str]
    files: Tuple[ListedFile, ...]


def is_safe_path(path: object) -> bool:
    """True for a relative path that stays below the folder that it is joined to, on every system."""
    if not isinstance(path, str) or not 0 < len(path.encode("utf-8", "surrogatepass")) <= MAX_PATH_BYTES:
        return False
    return _UNSAFE.search(path) is None and not {"", ".", ".."}.intersection(path.split("/"))


def listed_file(path: Any, size_bytes: Any, sha256: Any, url: str, *, where: str) -> ListedFile:
    """A file of a listing, after every field was looked at. ``where`` names the repository in messages."""
    if not is_safe_path(path):
        raise HubProblem(
            f"The listing of {where} holds the path {path!a}, which would lie outside the model's folder.",
            "Do not use this repository or mirror: a hub in its right mind does not list such a path.",
        )
    if size_bytes is not None and (not isinstance(size_bytes, int) or isinstance(size_bytes, bool) or size_bytes < 0):
        raise HubProblem(
            f"The listing of {where} gives {path} the size {size_bytes!a}.",
            "Try another endpoint of this hub: this one's listing cannot be trusted.",
        )
    return ListedFile(path, size_bytes, _sha256(path, sha256, where), url)


def refuse_duplicates(files: Iterable[ListedFile], *, where: str) -> Tuple[ListedFile, ...]:
    """The files, sorted by path. Two entries with one path cannot both be right."""
    ordered: List[ListedFile] = sorted(files, key=lambda file: file.path)
    for one, next_one in zip(ordered, ordered[1:]):
        if one.path == next_one.path:
            raise HubProblem(
                f"The listing of {where} holds {one.path} twice.",
                "Try another endpoint of this hub: this one's listing cannot be trusted.",
            )
    return tuple(ordered)


def is_sha256(value: object) -> bool:
    return isinstance(value, str) and _SHA256.match(value) is not None


def _sha256(path: str, sha256: Any, where: str) -> Optional[str]:
    if sha256 in (None, ""):
        return None
    lowered = sha256.lower() if isinstance(sha256, str) else sha256
    if not is_sha256(lowered):
        raise HubProblem(
            f"The listing of {where} gives {path} the sha256 {sha256!a}, which is none.",
            "Try another endpoint of this hub: this one's listing cannot be trusted.",
        )
    return str(lowered)
