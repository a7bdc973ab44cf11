# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Files read with bounds: regular ones only, never through a link of somebody else, never more than was expected."""

from __future__ import annotations

import os

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import PathProblem, parent_of

# State, units, environment files, locks: the largest are a few hundred kilobytes.
MAX_BYTES = 16 * 2**20


def open_regular(path: str) -> int:
    """A descriptor for reading the regular file at `path`; its last name may not be a link.

    Raises FileNotFoundError, PathProblem (a link, a FIFO, a directory, a way that others can change by links), OSError.
    """
    with parent_of(path) as (directory, name):
        return directory.open_file(name)


def read_file(path: str, *, limit_bytes: int = MAX_BYTES) -> bytes:
    """The content of a regular file of at most `limit_bytes`. Raises as open_regular, PathProblem when it is larger."""
    return read_descriptor(open_regular(path), path, limit_bytes=limit_bytes)


def read_descriptor(descriptor: int, path: str, *, limit_bytes: int = MAX_BYTES) -> bytes:
    """All that this descriptor gives, which is closed then; `path` is for the message."""
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise PathProblem(f"{path} is larger than {limit_bytes} bytes.", "Check what wrote it, and remove it.")
    return data
