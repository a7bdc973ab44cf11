# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Move bytes between files in the kernel, and hash files while they grow."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import threading
from typing import Callable, Optional, Protocol

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError

WINDOW_BYTES = 8 << 20
# Small enough that the bytes are still in the processor's cache when they are hashed or written.
BUFFER_BYTES = 1 << 20
# How far a hash may fall behind the copy: little enough that its bytes are still in the page cache.
MAX_LAG_BYTES = 64 << 20

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
    Where the source is still on disk it is read, though, since a mapping fetches it page by page.
    """

    def __init__(self) -> None:
        self._in_kernel = hasattr(os, "copy_file_range")
        self._buffer: Optional[memoryview] = None

    def copy(self, source: int, dest: int, source_offset: int, dest_offset: int, length_bytes: int) -> None:
        alike = (source_offset - dest_offset) % mmap.PAGESIZE == 0
        in_kernel = self._in_kernel and (alike or not _on_block_device(dest))
        done = 0
        while done < length_bytes:
            move = self._copy_in_kernel if in_kernel and self._in_kernel else self._write_mapped
            moved = move(source, dest, source_offset + done, dest_offset + done, length_bytes - done)
            if moved == 0:
                raise GgufError(
                    f"a shard became shorter than {source_offset + length_bytes:,} bytes during the merge.",
                    "Stop what writes to the shards, then run again.",
                )
            done += moved

    def _copy_in_kernel(self, source: int, dest: int, source_offset: int, dest_offset: int, length_bytes: int) -> int:
        try:
            moved = os.copy_file_range(source, dest, length_bytes, source_offset, dest_offset)
            if moved:
                return moved
        except OSError as error:
            if error.errno not in _NOT_IN_KERNEL:
                raise
        self._in_kernel = False
        return self._write_mapped(source, dest, source_offset, dest_offset, length_bytes)

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
            self._buffer = memoryview(bytearray(BUFFER_BYTES))
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


class FollowingHash:
    """The sha256 of a file on a thread of its own, which follows the writer of the file at a short distance."""

    def __init__(self, file: int, *, start: int = 0, hasher: Optional[Hasher] = None, mark_bytes: int = 0) -> None:
        self._file = file
        self._hasher: Hasher = hasher if hasher is not None else hashlib.sha256()
        self._position = self._limit = start
        self._mark_bytes = mark_bytes
        self._marks: dict[int, str] = {}
        self._closed = False
        self._error: Optional[BaseException] = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)
        self._thread.start()

    def advance(self, limit: int) -> None:
        """Allow the hash to read up to limit; waits when it is far behind."""
        with self._changed:
            self._limit = limit
            self._changed.notify_all()
            self._wait(lambda: limit - self._position <= MAX_LAG_BYTES)

    def digest(self) -> str:
        """The checksum of all bytes up to the limit, once they are read."""
        with self._changed:
            self._wait(lambda: self._position == self._limit)
            return self._hasher.hexdigest()

    def digest_at(self, offset: int) -> str:
        """The checksum of the bytes up to offset, a multiple of mark_bytes that was or will be allowed."""
        with self._changed:
            self._wait(lambda: offset in self._marks)
            return self._marks.pop(offset)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _wait(self, condition: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self._error is not None or self._closed or condition())
        if self._error is not None:
            raise self._error
        if not condition():
            raise RuntimeError("the hash was closed before it was complete")

    def _run(self) -> None:
        buffer = memoryview(bytearray(BUFFER_BYTES))
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or self._position < self._limit)
                    if self._closed:
                        return
                    length = min(self._limit - self._position, BUFFER_BYTES)
                if self._mark_bytes:
                    length = min(length, self._mark_bytes - self._position % self._mark_bytes)
                part = buffer[:length]
                read_into(self._file, part, self._position)
                self._hasher.update(part)
                with self._changed:
                    self._position += length
                    if self._mark_bytes and self._position % self._mark_bytes == 0:
                        self._marks[self._position] = self._hasher.hexdigest()
                    self._changed.notify_all()
        except BaseException as error:  # handed to the thread that waits
            with self._changed:
                self._error = error
                self._changed.notify_all()
