# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Reserve disk for bytes to come: a full disk shows before they move, and the file system has less work with them."""

from __future__ import annotations

import ctypes
import errno
import os

_FALLOC_FL_KEEP_SIZE = 1  # linux/falloc.h
_NO_FALLOCATE = frozenset((errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL))


def reserve_disk(file: int, offset: int, length_bytes: int) -> None:
    """Reserve a range of an open file without making the file longer; does nothing where the file system cannot.

    Not os.posix_fallocate, which makes files longer and writes into every block where the file system cannot reserve.
    Raises OSError as a write of these bytes would, and then has taken nothing.
    """
    if length_bytes <= 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    place = (ctypes.c_int64(offset), ctypes.c_int64(length_bytes))
    while libc.fallocate(file, _FALLOC_FL_KEEP_SIZE, *place) != 0:
        code = ctypes.get_errno()
        if code in _NO_FALLOCATE:
            return
        if code != errno.EINTR:
            # ext4 keeps what it could reserve, up to the last free block
            os.ftruncate(file, os.fstat(file).st_size)
            raise OSError(code, os.strerror(code))
