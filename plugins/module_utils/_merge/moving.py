# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Move bytes between files with as few copies as can be, and hand them to the hashes on their way."""

from __future__ import annotations

import errno
import mmap
import os
from functools import cached_property
from typing import Optional, Protocol, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._files.hashing import BLOCK_BYTES, Blocks, HashThread
from ansible_collections.gguf.fleet.plugins.module_utils._files.memory import page_aligned
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError

WINDOW_BYTES = 8 << 20
BUFFER_BYTES = BLOCK_BYTES

# what copy_file_range says where it cannot serve: other file systems, old kernels, special files
_NOT_IN_KERNEL = frozenset((errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY))
# what a mapping says that cannot be had, and a write from one whose file cannot be read or became shorter
_NOT_MAPPED = frozenset((errno.EFAULT, errno.ENODEV, errno.EACCES, errno.EINVAL, errno.ENOMEM))
# populating spares a fault for every few pages; Python names it from 3.10 on
_SHARED = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
# a Python built without it cannot tell: everything counts as cached
_IF_CACHED = getattr(os, "RWF_NOWAIT", 0)


class Hasher(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...

    def copy(self) -> Hasher: ...


class Copier:
    """Copies ranges of files, with as little work as the two places in them allow.

    copy_file_range shares blocks where the file system can, and copies on the server of a network file system. But
    between places that lie differently in their blocks, a local file system splices piece by piece, which takes more
    than twice the processor time of a write from the mapped source: the one copy that such a move needs at least.
    Where the source is still on disk it is read, though, since a mapping fetches it page by page. Bytes that are hashed
    on their way are read once into memory, for the hashes and for the write. What the kernel copies is read back.
    """

    def __init__(self) -> None:
        self._in_kernel = hasattr(os, "copy_file_range")
        self._buffer: Optional[memoryview] = None

    @cached_property
    def _blocks(self) -> Blocks:
        return Blocks()

    def copy(
        self,
        source: int,
        dest: int,
        source_offset: int,
        dest_offset: int,
        length_bytes: int,
        *,
        hashes: Sequence[HashThread] = (),
    ) -> None:
        alike = (source_offset - dest_offset) % mmap.PAGESIZE == 0
        in_kernel = self._in_kernel and (alike or not _on_block_device(dest))
        done = 0
        while done < length_bytes:
            places = source, dest, source_offset + done, dest_offset + done, length_bytes - done
            moved = self._copy_in_kernel(*places) if in_kernel and self._in_kernel else 0
            if moved and hashes:
                self.hash_range(dest, dest_offset + done, dest_offset + done + moved, hashes)
            if not moved:
                moved = self._write_hashed(*places, hashes=hashes) if hashes else self._write_mapped(*places)
            if not moved:
                raise GgufError(
                    f"a shard became shorter than {source_offset + length_bytes:,} bytes during the merge.",
                    "Stop what writes to the shards, then run again.",
                )
            done += moved

    def hash_range(self, file: int, start: int, end: int, hashes: Sequence[HashThread]) -> None:
        """Give a range of a file to the hashes, which may still be at it afterwards."""
        for offset in range(start, end, BUFFER_BYTES):
            block = self._blocks.take()
            length = min(BUFFER_BYTES, end - offset)
            read_into(file, block[:length], offset)
            self._blocks.give(block, length, hashes)

    def _copy_in_kernel(self, source: int, dest: int, source_offset: int, dest_offset: int, length_bytes: int) -> int:
        """How many bytes the kernel copied; 0 where it cannot, and is asked no more."""
        try:
            moved = os.copy_file_range(source, dest, length_bytes, source_offset, dest_offset)
        except OSError as error:
            if error.errno not in _NOT_IN_KERNEL:
                raise
            moved = 0
        self._in_kernel = moved > 0
        return moved

    def _write_hashed(
        self,
        source: int,
        dest: int,
        source_offset: int,
        dest_offset: int,
        length_bytes: int,
        *,
        hashes: Sequence[HashThread],
    ) -> int:
        block = self._blocks.take()
        got = os.preadv(source, [block[: min(length_bytes, BUFFER_BYTES)]], source_offset)
        self._blocks.give(block, got, hashes)
        write_all(dest, block[:got], dest_offset)
        return got

    def _write_mapped(self, source: int, dest: int, source_offset: int, dest_offset: int, length_bytes: int) -> int:
        before = source_offset % mmap.ALLOCATIONGRANULARITY
        start, length = source_offset - before, min(length_bytes, WINDOW_BYTES)
        if not _in_page_cache(source, source_offset + length - 1):
            return self._write_read(source, dest, source_offset, dest_offset, length)
        try:
            mapped = mmap.mmap(source, before + length, _SHARED, mmap.PROT_READ, offset=start)
            with mapped, memoryview(mapped)[before:] as part:
                return os.pwrite(dest, part, dest_offset)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in _NOT_MAPPED:
                raise
            return self._write_read(source, dest, source_offset, dest_offset, length)

    def _write_read(self, source: int, dest: int, source_offset: int, dest_offset: int, length_bytes: int) -> int:
        """Through memory, which says by name what is wrong with the source."""
        if self._buffer is None:
            self._buffer = page_aligned(BUFFER_BYTES)
        part = self._buffer[:length_bytes]
        got = os.preadv(source, [part], source_offset)
        write_all(dest, part[:got], dest_offset)
        return got


def _in_page_cache(file: int, offset: int) -> bool:
    try:
        return os.preadv(file, [bytearray(1)], offset, _IF_CACHED) == 1
    except OSError:
        return False


def _on_block_device(file: int) -> bool:
    """Network file systems have no device of their own."""
    return os.major(os.fstat(file).st_dev) != 0


def write_all(dest: int, data: bytes | memoryview, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(dest, view, offset)
        view = view[written:]
        offset += written


def read_into(source: int, buffer: memoryview, offset: int) -> None:
    """Fill the buffer from the file, all of it."""
    filled = 0
    while filled < len(buffer):
        got = os.preadv(source, [buffer[filled:]], offset + filled)
        if got == 0:
            raise GgufError(
                f"a file became shorter than {offset + len(buffer):,} bytes while it was read.",
                "Stop what writes to it, then run again.",
            )
        filled += got
