# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which bytes are on the disk already: a small file beside the partial file that a kill at any point leaves right.

It holds what the transfer is for, one state for each block, the shards' headers, and the few bytes of the shards that
have no place in the merged file. A block is noted as written after its bytes were handed to the kernel, and as synced
after the kernel handed them to the disk. A killed process leaves the kernel's copy intact, so both kinds count while
the host has not been booted anew; after that only the synced ones do.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import PathProblem, parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.own import make_own, open_own
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import BLOCK_BYTES, LockedFile

MISSING, WRITTEN, SYNCED = 0, 1, 2

_MAGIC = b"gguf.fleet journal 1\n"
_HEAD = struct.Struct(f"<{len(_MAGIC)}sI")
_META_AT_MOST_BYTES = 1 << 24


def boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "unknown"


def identity(files: Sequence[LockedFile], layout: str) -> Dict[str, Any]:
    """What a journal must agree with to be continued: the same bytes in the same places, from wherever they come."""
    return {
        "layout": layout,
        "block_bytes": BLOCK_BYTES,
        "files": [[file.path, file.size_bytes, file.sha256] for file in files],
    }


class Journal:
    """The open journal of one transfer."""

    def __init__(self, path: str, descriptor: int, meta: Dict[str, Any], states: bytearray, at: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.meta = meta
        self.states = states
        self._states_at = at
        self.kept_at = at + len(states)

    @classmethod
    def create(
        cls, path: str, files: Sequence[LockedFile], layout: str, block_count: int, headers: Sequence[bytes]
    ) -> Journal:
        """A new journal, durable with its headers before the first byte is noted in it."""
        meta = {
            "identity": identity(files, layout),
            "boot_id": boot_id(),
            "block_count": block_count,
            "headers": [len(raw) for raw in headers],
            "headers_sha256": hashlib.sha256(b"".join(headers)).hexdigest(),
        }
        encoded = json.dumps(meta).encode()
        at = _HEAD.size + len(encoded)
        with parent_of(path) as (directory, name):
            descriptor = make_own(directory, name + ".new")
            try:
                os.pwrite(descriptor, _HEAD.pack(_MAGIC, len(encoded)) + encoded, 0)
                os.pwrite(descriptor, bytes(block_count), at)
                os.pwrite(descriptor, b"".join(headers), at + block_count)
                os.fsync(descriptor)
                os.rename(name + ".new", name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
            except BaseException:
                os.close(descriptor)
                os.unlink(name + ".new", dir_fd=directory.fd)
                raise
        return cls(path, descriptor, meta, bytearray(block_count), at)

    @classmethod
    def open(cls, path: str) -> Optional[Journal]:
        """The journal that an earlier run left; None when there is none, it is not ours or cannot be read."""
        try:
            with parent_of(path) as (directory, name):
                descriptor = open_own(directory, name)
        except (FileNotFoundError, PathProblem):
            return None
        try:
            journal = cls._parse(path, descriptor)
        except (ValueError, struct.error, OSError):
            os.close(descriptor)
            return None
        if journal.meta["boot_id"] != boot_id():
            journal._forget_unsynced()
        return journal

    @classmethod
    def _parse(cls, path: str, descriptor: int) -> Journal:
        magic, length = _HEAD.unpack(os.pread(descriptor, _HEAD.size, 0))
        if magic != _MAGIC or length > _META_AT_MOST_BYTES:
            raise ValueError("not a journal")
        meta = _checked(os.pread(descriptor, length, _HEAD.size), os.fstat(descriptor).st_size)
        at = _HEAD.size + length
        states = bytearray(os.pread(descriptor, meta["block_count"], at))
        if len(states) != meta["block_count"]:
            raise ValueError("cut short")
        if not set(states) <= {MISSING, WRITTEN, SYNCED}:
            raise ValueError("damaged")
        journal = cls(path, descriptor, meta, states, at)
        if hashlib.sha256(b"".join(journal.headers())).hexdigest() != meta["headers_sha256"]:
            raise ValueError("damaged")
        return journal

    def _forget_unsynced(self) -> None:
        """The host went down in between: what was only with the kernel is gone, and this must be noted before new
        blocks are noted as written in the new boot."""
        self.states[:] = bytes(state if state == SYNCED else MISSING for state in self.states)
        os.pwrite(self.descriptor, self.states, self._states_at)
        os.fdatasync(self.descriptor)
        here = boot_id()
        # Both are UUIDs, so the new text fits in the old one's place.
        if len(here) == len(self.meta["boot_id"]):
            self.meta["boot_id"] = here
            os.pwrite(self.descriptor, json.dumps(self.meta).encode(), _HEAD.size)
            os.fdatasync(self.descriptor)

    def belongs_to(self, files: Sequence[LockedFile], layout: str) -> bool:
        blocks = sum(-(-file.size_bytes // BLOCK_BYTES) for file in files)
        same = self.meta["identity"] == json.loads(json.dumps(identity(files, layout)))
        return bool(same and len(self.states) == blocks and len(self.meta["headers"]) in (0, len(files)))

    def headers(self) -> List[bytes]:
        raws, at = [], self.kept_at
        for length in self.meta["headers"]:
            raws.append(os.pread(self.descriptor, length, at))
            at += length
        return raws

    def note(self, blocks: Iterable[int], state: int) -> None:
        """Note the state of blocks. Neighbours go in one write."""
        for first, last in _runs(blocks):
            count = last - first + 1
            self.states[first : last + 1] = bytes([state]) * count
            os.pwrite(self.descriptor, bytes([state]) * count, self._states_at + first)

    def sync(self) -> None:
        os.fdatasync(self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)


def _checked(raw: bytes, size_bytes: int) -> Dict[str, Any]:
    """What a journal says of itself, when it can be true of a file of this size. ValueError otherwise."""
    try:
        meta = json.loads(raw)
    except RecursionError:
        raise ValueError("not a journal") from None
    lengths = meta.get("headers") if isinstance(meta, dict) else None
    if not isinstance(lengths, list) or not isinstance(meta.get("boot_id"), str) or "identity" not in meta:
        raise ValueError("not a journal")
    if not isinstance(meta.get("headers_sha256"), str):
        raise ValueError("not a journal")
    for length in (meta.get("block_count"), *lengths):
        if not isinstance(length, int) or isinstance(length, bool) or not 0 <= length <= size_bytes:
            raise ValueError("not a journal")
    if sum(lengths) > size_bytes:
        raise ValueError("not a journal")
    return meta


def _runs(blocks: Iterable[int]) -> Iterable[Tuple[int, int]]:
    first = last = -2
    for block in sorted(blocks):
        if block != last + 1:
            if first >= 0:
                yield first, last
            first = block
        last = block
    if first >= 0:
        yield first, last
