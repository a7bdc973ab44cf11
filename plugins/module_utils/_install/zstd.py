# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What this machine has to read zstd with."""

from __future__ import annotations

import shutil
from typing import IO, Callable, Optional


def python_reader() -> Optional[Callable[[IO[bytes]], IO[bytes]]]:
    """What makes an open file a stream of what it holds, where this Python has a module for it."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # Python 3.14

        return zstd.ZstdFile
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError:
        return None
    return lambda stream: zstandard.ZstdDecompressor().stream_reader(stream)  # type: ignore[return-value,unused-ignore]


def program() -> Optional[str]:
    """The path of the program."""
    return shutil.which("zstd")


def can_read() -> bool:
    """Whether this machine can unpack a .tar.zst."""
    return program() is not None or python_reader() is not None
