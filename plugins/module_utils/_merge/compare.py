# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Compare a file with the merge that it should be, without writing the merge."""

from __future__ import annotations

import os
from typing import Callable, Iterator, Optional, Union

from ansible_collections.gguf.fleet.plugins.module_utils._files.memory import page_aligned
from ansible_collections.gguf.fleet.plugins.module_utils._merge.journal import MergeJob, open_shard
from ansible_collections.gguf.fleet.plugins.module_utils._merge.moving import BUFFER_BYTES, Hasher, read_into


def matching_bytes(
    file: int,
    job: MergeJob,
    header: bytes,
    size_bytes: int,
    hasher: Optional[Hasher],
    *,
    told: Callable[[int], None],
) -> int:
    """How many of the file's first size_bytes are those of the merge, in steps; hasher gets just these."""
    buffer = page_aligned(BUFFER_BYTES)
    position = 0
    for expected in _content(job, header):
        length = min(len(expected), size_bytes - position)
        part = buffer[:length]
        read_into(file, part, position)
        if part != expected[:length]:
            break
        if hasher is not None:
            hasher.update(part)
        position += length
        told(position)
        if position == size_bytes:
            break
    return position


def _content(job: MergeJob, header: bytes) -> Iterator[Union[bytes, memoryview]]:
    """The bytes of the merge in order, in pieces of at most BUFFER_BYTES."""
    for start in range(0, len(header), BUFFER_BYTES):
        yield header[start : start + BUFFER_BYTES]
    position = len(header)
    buffer = page_aligned(BUFFER_BYTES)
    for index, shard in enumerate(job.shards):
        source = open_shard(shard)
        try:
            for part in (part for part in job.segments if part.shard == index):
                if part.dest_offset > position:
                    yield bytes(part.dest_offset - position)
                for done in range(0, part.length_bytes, BUFFER_BYTES):
                    piece = buffer[: min(BUFFER_BYTES, part.length_bytes - done)]
                    read_into(source, piece, part.source_offset + done)
                    yield piece
                position = part.dest_offset + part.length_bytes
        finally:
            os.close(source)
    if job.size_bytes > position:
        yield bytes(job.size_bytes - position)
