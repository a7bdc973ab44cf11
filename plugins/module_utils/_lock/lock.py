# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The lock: the pinned description of the files of one quant, as plain data."""

from __future__ import annotations

import posixpath
from typing import Any, Dict, Iterator, List, Mapping, NoReturn, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import (
    ListedFile,
    is_safe_path,
    is_sha256,
    is_size,
    said,
)
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import (
    HUBS,
    Request,
    folder_of,
    is_address,
    is_repo,
    without_credentials,
)
from ansible_collections.gguf.fleet.plugins.module_utils._lock.selection import select
from ansible_collections.gguf.fleet.plugins.module_utils._lock.url import whole_set

LOCK_VERSION = 1
_RESOLVE_AGAIN = "Resolve again with update: true (in roles: models_lock_update: true)."
_MAX_FILES = 10_000


def check_lock(lock: Any) -> Dict[str, Any]:
    """The lock itself, when everything in it that code relies on is what it should be. A file may hold anything."""
    if not isinstance(lock, dict):
        _refuse(f"is a {type(lock).__name__}, not a mapping")
    if lock.get("lock_version") != LOCK_VERSION:
        _refuse(f"has the version {said(lock.get('lock_version'))}; this collection knows version {LOCK_VERSION}")
    if lock.get("hub") not in HUBS:
        _refuse(f"names the hub {said(lock.get('hub'))}; there are {', '.join(HUBS)}")
    _check_source(lock)
    files = lock.get("files")
    if not isinstance(files, list) or not files:
        _refuse("lists no files")
    if len(files) > _MAX_FILES:
        _refuse(f"lists {len(files)} files")
    for file in files:
        _check_file(file, lock["hub"])
    names = [posixpath.basename(file["path"]) for file in files]
    if len(set(names)) != len(names):
        _refuse("lists two files of the same name")
    if not isinstance(lock.get("gguf"), dict):
        _refuse("has no facts about the model (gguf)")
    _check_merged(lock.get("merged"))
    if lock.get("seal") is not None:
        check_seal(lock["seal"], files)
    return lock


def check_seal(seal: Any, files: Sequence[Mapping[str, Any]]) -> None:
    """Refuse piece checksums that do not cover exactly these files."""
    if not isinstance(seal, dict) or not isinstance(seal.get("pieces"), dict):
        _refuse("has a seal without pieces")
    piece_bytes = seal.get("piece_bytes")
    if not is_size(piece_bytes) or not piece_bytes:
        _refuse(f"is sealed in pieces of {said(piece_bytes)} bytes")
    sizes = {file["path"]: file["size_bytes"] for file in files}
    if set(seal["pieces"]) != set(sizes):
        _refuse("is sealed for other files than it lists")
    for path, digests in seal["pieces"].items():
        count = -(-sizes[path] // piece_bytes)
        if not isinstance(digests, list) or len(digests) != count or not all(map(is_sha256, digests)):
            _refuse(f"needs {count} piece checksums for {path}, each of 64 digits")


def difference(lock: Mapping[str, Any], request: Request) -> Optional[str]:
    """All that is asked for and that the lock does not hold, in a few words; None when the lock answers the request."""
    found = [f"{what} {asked} instead of {pinned}" for what, asked, pinned in _differing(lock, request)]
    if request.hub == "url" and _paths(whole_set(request.urls)) != _paths([file["url"] for file in lock["files"]]):
        found.append("other addresses")
    listed = [ListedFile(file["path"], file["size_bytes"], file["sha256"], file["url"]) for file in lock["files"]]
    try:
        select(listed, quant=request.quant, pattern=request.pattern, where="the lock")
    except HubProblem:
        found.append(f"{request.pattern or request.quant} instead of {lock['quant']}")
    return ", ".join(found) or None


def _differing(lock: Mapping[str, Any], request: Request) -> Iterator[Tuple[str, Any, Any]]:
    if lock["hub"] != request.hub:
        yield "hub", request.hub, lock["hub"]
    if request.hub in ("modelscope", "huggingface") and lock["repo"] != request.repo:
        yield "repository", request.repo, lock["repo"]
    if request.revision is not None and request.revision not in (lock["revision"], lock["commit"]):
        yield "revision", request.revision, lock["revision"]
    endpoint = without_credentials((request.endpoint or "").rstrip("/"))
    if endpoint not in ("", lock["endpoint"]):
        yield "endpoint", endpoint, lock["endpoint"]
    if request.hub == "path" and lock["hub"] == "path" and folder_of(request).as_uri() != lock["endpoint"]:
        yield "path", folder_of(request), lock["endpoint"]
    for file in lock["files"]:
        given = request.digest_of(file["path"])
        if given is not None and given != file["sha256"]:
            yield f"the sha256 of {file['path']}", given, file["sha256"] or "none"


def _paths(urls: Sequence[str]) -> List[str]:
    """What stays of addresses without credentials and order."""
    return sorted(without_credentials(url) for url in urls)


def _check_source(lock: Mapping[str, Any]) -> None:
    """Hub, endpoint, repository and revision: they become parts of paths and addresses, and lines of messages."""
    schemes = _schemes(lock["hub"])
    if lock.get("endpoint") is not None and not is_address(lock["endpoint"], schemes):
        _refuse(f"has the endpoint {said(lock['endpoint'])}, which is no address of {' or '.join(schemes)}")
    if lock.get("repo") is not None and not is_repo(lock["repo"]):
        _refuse(f"has the repository {said(lock['repo'])}, which is not owner/name")
    for key in ("revision", "commit"):
        if lock.get(key) is not None and not is_safe_path(lock[key]):
            _refuse(f"has the {key} {said(lock[key])}, which is no plain name")
    if not is_safe_path(lock.get("quant")) or "/" in lock["quant"]:
        _refuse(f"has the quant {said(lock.get('quant'))}, which is no plain name")


def _schemes(hub: str) -> Tuple[str, ...]:
    """Only a folder is read from the file system: a lock from elsewhere must not name files of this machine."""
    return ("file",) if hub == "path" else ("http", "https")


def _check_file(file: Any, hub: str) -> None:
    if not isinstance(file, dict) or not is_safe_path(file.get("path")):
        _refuse(f"lists the path {said(file.get('path') if isinstance(file, dict) else file)}")
    path = file["path"]
    if not path.lower().endswith(".gguf"):
        _refuse(f"lists {path}, which is no GGUF file")
    if not is_size(file.get("size_bytes")):
        _refuse(f"gives {path} the size {said(file.get('size_bytes'))}")
    if file.get("sha256") is not None and not is_sha256(file["sha256"]):
        _refuse(f"gives {path} the sha256 {said(file['sha256'])}")
    if file.get("header_sha256") is not None and not is_sha256(file["header_sha256"]):
        _refuse(f"gives the header of {path} the sha256 {said(file['header_sha256'])}")
    url = file.get("url")
    if not is_address(url, _schemes(hub)):
        _refuse(f"gives {path} the address {said(url)}, which is none of {' or '.join(_schemes(hub))}")
    header_bytes = file.get("header_bytes")
    if not is_size(header_bytes) or header_bytes > file["size_bytes"]:
        _refuse(f"gives {path} a header of {said(header_bytes)} bytes")


def _check_merged(merged: Any) -> None:
    if not isinstance(merged, dict):
        _refuse("does not say how large the merged file is")
    if not is_size(merged.get("size_bytes")):
        _refuse("has a merged file without a size")
    if merged.get("sha256") is not None and not is_sha256(merged["sha256"]):
        _refuse(f"has a merged file with the sha256 {said(merged['sha256'])}")


def _refuse(what: str) -> NoReturn:
    raise HubProblem(f"The lock {what}.", _RESOLVE_AGAIN)
