# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a hub says it holds. Every word of it is hostile input until it passed through here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterable, List, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._text import plain_name_problem

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
# A drive letter or a stream name means something else on other systems, a backslash is their separator.
_UNSAFE = re.compile(r"[\\:]")
MAX_PATH_BYTES = 1024
# 1 PiB: no model is larger, and no sum of sizes overflows anything.
MAX_SIZE_BYTES = 1 << 50


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
    """True for a relative path of printable characters that stays below the folder it is joined to, on every system."""
    if not isinstance(path, str) or not 0 < len(path.encode("utf-8", "surrogatepass")) <= MAX_PATH_BYTES:
        return False
    if plain_name_problem(path) is not None or _UNSAFE.search(path) is not None:
        return False
    return not {"", ".", ".."}.intersection(path.split("/"))


def listed_file(path: Any, size_bytes: Any, sha256: Any, url: str, *, where: str) -> ListedFile:
    """A file of a listing, after every field was looked at. ``where`` names the repository in messages."""
    if not is_safe_path(path):
        raise HubProblem(
            f"The listing of {where} holds the path {said(path)}, which would lie outside the model's folder or "
            "is no plain name.",
            "Do not use this repository or mirror: a hub does not list such a path.",
        )
    if size_bytes is not None and not is_size(size_bytes):
        raise HubProblem(
            f"The listing of {where} gives {path} the size {said(size_bytes)}.",
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


def is_size(value: object) -> bool:
    """True for a number of bytes that a file can have."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SIZE_BYTES


def said(value: object) -> str:
    """A value of somebody else's in a message: escaped, and not all of it."""
    if isinstance(value, str):
        return ascii(value[:200])
    # Python does not print numbers of thousands of digits.
    shown = hex(value) if isinstance(value, int) and abs(value) >> 64 else str(value)
    return shown[:200].encode("ascii", "backslashreplace").decode()


def is_sha256(value: object) -> bool:
    return isinstance(value, str) and _SHA256.match(value) is not None


def _sha256(path: str, sha256: Any, where: str) -> Optional[str]:
    if sha256 in (None, ""):
        return None
    lowered = sha256.lower() if isinstance(sha256, str) else sha256
    if not is_sha256(lowered):
        raise HubProblem(
            f"The listing of {where} gives {path} the sha256 {said(sha256)}, which is not a sha256.",
            "Try another endpoint of this hub: this one's listing cannot be trusted.",
        )
    return str(lowered)
