# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The seal: what only a verified copy can tell, added to a lock once: digests of pieces, missing and merged ones."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._files.hashing import HashThread
from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import is_sha256
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem

PIECE_BYTES = 64 << 20
# How far the hash of the whole may fall behind that of the pieces: what lies in memory meanwhile.
_BLOCKS_AHEAD = 4


@dataclass(frozen=True)
class FileDigests:
    """The checksums of one file: of the whole, and of its pieces in order."""

    size_bytes: int
    sha256: str
    pieces: List[str]


def sum_blocks(blocks: Iterable[bytes], piece_bytes: int = PIECE_BYTES) -> FileDigests:
    """The checksums of a file whose bytes come as blocks of any size; no pieces where piece_bytes is 0.

    The whole is hashed on a thread of its own, beside the pieces.
    """
    pieces: List[str] = []
    piece, in_piece = hashlib.sha256(), 0
    whole, room = HashThread(), threading.Semaphore(_BLOCKS_AHEAD)
    try:
        for block in blocks:
            room.acquire()
            whole.give(block, room.release)
            view = memoryview(block if piece_bytes else b"")
            while view:
                part = view[: piece_bytes - in_piece]
                piece.update(part)
                in_piece += len(part)
                view = view[len(part) :]
                if in_piece == piece_bytes:
                    pieces.append(piece.hexdigest())
                    piece, in_piece = hashlib.sha256(), 0
        if in_piece:
            pieces.append(piece.hexdigest())
        return FileDigests(whole.position, whole.digest(), pieces)
    finally:
        whole.close()


def make_seal(
    lock: Mapping[str, Any],
    digests: Mapping[str, FileDigests],
    merged_sha256: Optional[str],
    piece_bytes: int = PIECE_BYTES,
) -> Dict[str, Any]:
    """What a host found, after each checksum was compared with what the lock knows already."""
    for file in lock["files"]:
        found = digests[file["path"]]
        if found.size_bytes != file["size_bytes"] or file["sha256"] not in (None, found.sha256):
            raise HubProblem(
                f"{file['path']} on this host has {found.size_bytes:,} bytes and the sha256 {found.sha256}; the lock "
                f"says {file['size_bytes']:,} bytes and {file['sha256']}.",
                "Do not seal from this copy: download again with verification.",
            )
    return {
        "piece_bytes": piece_bytes,
        "files": {file["path"]: digests[file["path"]].sha256 for file in lock["files"]},
        "pieces": {file["path"]: digests[file["path"]].pieces for file in lock["files"]},
        "merged_sha256": merged_sha256,
    }


def keep_known(old: Any, new: Mapping[str, Any]) -> Dict[str, Any]:
    """The new lock with what the old one knew more of the very same bytes: digests that the hub does not tell, seal.

    Bytes are the same when the hub lists the same checksum, or, where it tells none, the same file at the same commit.
    """
    try:
        check_lock(old)
    except HubProblem:
        return dict(new)
    same_commit = new["commit"] is not None and all(old[key] == new[key] for key in ("hub", "repo", "commit"))
    known = {(file["path"], file["size_bytes"]): file["sha256"] for file in old["files"]}
    files = []
    for file in new["files"]:
        earlier = known.get((file["path"], file["size_bytes"]))
        files.append({**file, "sha256": file["sha256"] or (earlier if same_commit else None)})
    kept = {**new, "files": files}
    if "seal" not in old or _identity(old) != _identity(kept):
        return kept
    return {**kept, "merged": old["merged"], "seal": old["seal"]}


def _identity(lock: Mapping[str, Any]) -> List[Any]:
    return [(file["path"], file["size_bytes"], file["sha256"]) for file in lock["files"]]


def apply_seal(lock: Mapping[str, Any], seal: Any) -> Dict[str, Any]:
    """The lock with the seal in it. Checksums that were known stay as they are; another value for one is refused."""
    if not isinstance(seal, dict) or not isinstance(seal.get("files"), dict):
        raise HubProblem("The seal is not what gguf_seal returns.", "Give the seal of its result.")
    told, merged_sha256 = seal["files"], seal.get("merged_sha256")
    files = []
    for file in lock["files"]:
        digest = told.get(file["path"])
        if not is_sha256(digest) or file["sha256"] not in (None, digest):
            raise HubProblem(
                f"The seal gives {file['path']} the sha256 {digest!a}; the lock says {file['sha256']}.",
                "Seal from a host whose files were verified against this lock.",
            )
        files.append({**file, "sha256": digest})
    merged = dict(lock["merged"])
    if merged_sha256 is not None:
        if merged["sha256"] not in (None, merged_sha256):
            raise HubProblem(
                f"The seal gives the merged file the sha256 {merged_sha256!a}; the lock says {merged['sha256']}.",
                "Seal from a host whose files were verified against this lock.",
            )
        merged["sha256"] = merged_sha256
    pieces = {"piece_bytes": seal.get("piece_bytes"), "pieces": seal.get("pieces")}
    return check_lock({**lock, "files": files, "merged": merged, "seal": pieces})
