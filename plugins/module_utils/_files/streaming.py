# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Files of ours that are too large for memory, written whole or not at all."""

from __future__ import annotations

import os
from typing import IO, Callable

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import workshop


def write_stream(path: str, write: Callable[[IO[bytes]], object], *, mode: int) -> None:
    """As write_file, for content that `write` puts into the open file by itself."""
    with parent_of(path) as (directory, name):
        with workshop(directory) as inside:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open("file", flags, 0o600, dir_fd=inside.fd), "wb") as file:
                write(file)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            os.rename("file", name, src_dir_fd=inside.fd, dst_dir_fd=directory.fd)
        os.fsync(directory.fd)
