# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Where every byte of the locked files goes, and what has to be hashed to believe it: computed before anything moves.

The files' bytes are counted in blocks, file after file. That order is also the order of the merged file, so one window
over the blocks feeds the digests of the files and of the merged file from the same memory.
"""

from __future__ import annotations

import bisect
import os
from dataclasses import dataclass, field
from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import MergeLayout
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError

BLOCK_BYTES = 1 << 20
MERGED = "merged"
SHARDS = "shards"

# Where a stretch goes when it has no place in any output: headers and gaps are kept in the journal.
IN_JOURNAL = -1
# What a part of a digest is when it is not bytes of a file.
ZEROS = -1
HEADER = -2


@dataclass(frozen=True)
class LockedFile:
    """One file of the lock."""

    path: str
    size_bytes: int
    sha256: Optional[str]
    url: str
    header_bytes: Optional[int] = None
    header_sha256: Optional[str] = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Stretch(NamedTuple):
    """A run of bytes of a file that stays in one piece on its way to an output (or to the journal)."""

    source_offset: int
    length_bytes: int
    output: int
    dest_offset: int


class Part(NamedTuple):
    """A run of bytes in a digest: of a file, of the merged header, or zeros."""

    file: int
    offset: int
    length_bytes: int


@dataclass(frozen=True)
class Output:
    """A file that the transfer makes. ``partial`` is its name until all of it is proved."""

    path: str
    size_bytes: int
    sha256: Optional[str]

    @property
    def partial(self) -> str:
        return self.path + ".partial"


@dataclass(frozen=True)
class DigestPlan:
    """One checksum to compute. ``repair`` names the bytes (of one file) to fetch again when it is wrong."""

    name: str
    expected: Optional[str]
    parts: Tuple[Part, ...]
    repair: Optional[Part]


@dataclass(frozen=True)
class Plan:
    layout: str
    files: Tuple[LockedFile, ...]
    outputs: Tuple[Output, ...]
    stretches: Tuple[Tuple[Stretch, ...], ...]
    digests: Tuple[DigestPlan, ...]
    merged_header: bytes = b""
    padding: Tuple[Tuple[int, int], ...] = ()
    headers: Tuple[bytes, ...] = ()
    journal_bytes: int = 0
    # Digests that need not be computed because those of pieces in the lock vouch for them.
    implied: Mapping[str, str] = field(default_factory=dict)
    first_blocks: Tuple[int, ...] = ()
    starts: Tuple[Tuple[int, ...], ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def block_count(self) -> int:
        return self.first_blocks[-1]

    def blocks_of(self, file: int) -> range:
        return range(self.first_blocks[file], self.first_blocks[file + 1])

    def file_of(self, block: int) -> int:
        return bisect.bisect_right(self.first_blocks, block) - 1

    def locate(self, block: int) -> Tuple[int, int, int]:
        """File, offset in it and length of a block."""
        file = self.file_of(block)
        offset = (block - self.first_blocks[file]) * BLOCK_BYTES
        return file, offset, min(BLOCK_BYTES, self.files[file].size_bytes - offset)

    def overlapped(self, part: Part) -> range:
        """The blocks that hold bytes of a part."""
        first = self.first_blocks[part.file]
        if not part.length_bytes:
            return range(first, first)
        last = (part.offset + part.length_bytes - 1) // BLOCK_BYTES
        return range(first + part.offset // BLOCK_BYTES, first + last + 1)

    def stretches_in(self, file: int, start: int, end: int) -> Iterator[Stretch]:
        """The stretches of a file's bytes from start to end, cut at both."""
        index = bisect.bisect_right(self.starts[file], start) - 1
        for stretch in self.stretches[file][index:]:
            if stretch.source_offset >= end:
                return
            low = max(start, stretch.source_offset)
            high = min(end, stretch.source_offset + stretch.length_bytes)
            yield Stretch(low, high - low, stretch.output, stretch.dest_offset + low - stretch.source_offset)


def locked_files(lock: Mapping[str, Any]) -> Tuple[LockedFile, ...]:
    return tuple(
        LockedFile(
            path=str(entry["path"]),
            size_bytes=int(entry["size_bytes"]),
            sha256=entry.get("sha256") or None,
            url=str(entry.get("url") or ""),
            header_bytes=entry.get("header_bytes"),
            header_sha256=entry.get("header_sha256"),
        )
        for entry in lock["files"]
    )


def plan_shards(lock: Mapping[str, Any], directory: str) -> Plan:
    """Every file as it is, side by side in one directory."""
    files = locked_files(lock)
    names = [file.name for file in files]
    if len(set(names)) != len(names):
        raise TransferError(
            f"Two files of the lock have the same name: {', '.join(sorted(names))}.",
            "Resolve one quant at a time.",
            reason="bad-lock",
        )
    outputs = tuple(Output(os.path.join(directory, file.name), file.size_bytes, file.sha256) for file in files)
    stretches = [(Stretch(0, file.size_bytes, index, 0),) for index, file in enumerate(files)]
    return _numbered(SHARDS, files, outputs, stretches, _file_digests(lock, files))


def plan_single(lock: Mapping[str, Any], dest: str) -> Plan:
    """A model that was never split: its one file is the merged file."""
    files = locked_files(lock)
    outputs = (Output(dest, files[0].size_bytes, files[0].sha256),)
    return _numbered(MERGED, files, outputs, [(Stretch(0, files[0].size_bytes, 0, 0),)], _file_digests(lock, files))


def plan_merged(lock: Mapping[str, Any], dest: str, merge: MergeLayout, headers: Sequence[bytes]) -> Plan:
    """All shards into one file, each tensor byte straight to its final place."""
    files = locked_files(lock)
    merged = lock.get("merged") or {}
    stated = merged.get("size_bytes")
    if stated is not None and int(stated) != merge.size_bytes:
        raise TransferError(
            f"The lock says that the merged file has {int(stated):,} bytes; the shards' headers give "
            f"{merge.size_bytes:,}.",
            "Resolve again: the lock and the shards are of different uploads.",
            reason="bad-lock",
        )
    expected = merged.get("sha256") or None
    stretches, journal_bytes = _merged_stretches(files, merge, headers)
    digests = _file_digests(lock, files)
    implied = {}
    sealed = bool(digests) and all(digest.repair is not None and digest.expected for digest in digests)
    if expected and _pieces(lock) and sealed:
        # The seal's pieces prove every byte that the merged file is made of, several at once and in any order.
        implied[MERGED] = expected
    else:
        digests = (*digests, DigestPlan(MERGED, expected, _merged_parts(merge), None))
    return _numbered(
        MERGED,
        files,
        (Output(dest, merge.size_bytes, expected),),
        stretches,
        digests,
        merged_header=merge.header,
        padding=merge.padding,
        headers=tuple(headers),
        journal_bytes=journal_bytes,
        implied=implied,
    )


def _numbered(
    layout: str,
    files: Tuple[LockedFile, ...],
    outputs: Tuple[Output, ...],
    stretches: Sequence[Sequence[Stretch]],
    digests: Tuple[DigestPlan, ...],
    **more: Any,
) -> Plan:
    first_blocks = [0]
    for file in files:
        first_blocks.append(first_blocks[-1] + -(-file.size_bytes // BLOCK_BYTES))
    return Plan(
        layout=layout,
        files=files,
        outputs=outputs,
        stretches=tuple(tuple(of_file) for of_file in stretches),
        digests=digests,
        first_blocks=tuple(first_blocks),
        starts=tuple(tuple(stretch.source_offset for stretch in of_file) for of_file in stretches),
        **more,
    )


def _pieces(lock: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
    seal = lock.get("seal") or {}
    pieces: Mapping[str, Sequence[str]] = seal.get("pieces") or {}
    return pieces


def _file_digests(lock: Mapping[str, Any], files: Sequence[LockedFile]) -> Tuple[DigestPlan, ...]:
    """One digest a file; where the lock is sealed, one a piece instead."""
    piece_bytes = int((lock.get("seal") or {}).get("piece_bytes") or 0)
    digests: List[DigestPlan] = []
    for index, file in enumerate(files):
        pieces = _pieces(lock).get(file.path)
        whole = Part(index, 0, file.size_bytes)
        if not pieces or not file.sha256:
            digests.append(DigestPlan(file.path, file.sha256, (whole,), whole))
            continue
        if piece_bytes <= 0 or len(pieces) != -(-file.size_bytes // piece_bytes):
            raise TransferError(
                f"The seal of {file.path} has {len(pieces)} checksums for {file.size_bytes:,} bytes "
                f"in pieces of {piece_bytes:,}.",
                "Seal the lock again.",
                reason="bad-lock",
            )
        for number, expected in enumerate(pieces):
            offset = number * piece_bytes
            part = Part(index, offset, min(piece_bytes, file.size_bytes - offset))
            digests.append(DigestPlan(f"{file.path} piece {number + 1} of {len(pieces)}", expected, (part,), part))
    return tuple(digests)


def _merged_stretches(
    files: Sequence[LockedFile], merge: MergeLayout, headers: Sequence[bytes]
) -> Tuple[List[List[Stretch]], int]:
    """Tensor bytes to the merged file; all others (headers, gaps, what follows the data) to the journal."""
    by_file: List[List[Stretch]] = [[] for _file in files]
    # The journal begins with the headers, which are there before any other byte.
    header_places = [sum(len(raw) for raw in headers[:index]) for index in range(len(headers))]
    journal_bytes = sum(len(raw) for raw in headers)

    def keep(index: int, start: int, end: int) -> None:
        nonlocal journal_bytes
        in_header = len(headers[index])
        if start < in_header:
            by_file[index].append(Stretch(start, min(end, in_header) - start, IN_JOURNAL, header_places[index] + start))
            start = min(end, in_header)
        if end > start:
            by_file[index].append(Stretch(start, end - start, IN_JOURNAL, journal_bytes))
            journal_bytes += end - start

    reached = [0] * len(files)
    for segment in merge.segments:
        keep(segment.shard, reached[segment.shard], segment.source_offset)
        by_file[segment.shard].append(Stretch(segment.source_offset, segment.length_bytes, 0, segment.dest_offset))
        reached[segment.shard] = segment.source_offset + segment.length_bytes
    for index, file in enumerate(files):
        if reached[index] > file.size_bytes:
            raise TransferError(
                f"{file.path} has {file.size_bytes:,} bytes; its header lists tensors up to byte {reached[index]:,}.",
                "Resolve again: the listing and the file do not belong together.",
                reason="shorter-than-header",
            )
        keep(index, reached[index], file.size_bytes)
    return by_file, journal_bytes


def _merged_parts(merge: MergeLayout) -> Tuple[Part, ...]:
    parts = [Part(HEADER, 0, len(merge.header))]
    reached = len(merge.header)
    for segment in merge.segments:
        if segment.dest_offset > reached:
            parts.append(Part(ZEROS, 0, segment.dest_offset - reached))
        parts.append(Part(segment.shard, segment.source_offset, segment.length_bytes))
        reached = segment.dest_offset + segment.length_bytes
    if merge.size_bytes > reached:
        parts.append(Part(ZEROS, 0, merge.size_bytes - reached))
    return tuple(parts)
