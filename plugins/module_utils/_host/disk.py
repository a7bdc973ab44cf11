# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Room on a disk: one rule for all who ask before they write."""

from __future__ import annotations

import os
from typing import Union


def free_bytes(place: Union[str, int]) -> int:
    """What may still be written to the file system of a path or an open file, in bytes.

    What is reserved for root stays reserved, for root, too: a model that takes it leaves the host's services none.
    """
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize


def existing_directory(path: str) -> str:
    """The path, links resolved, if it is a directory; else the nearest one above it that is there today."""
    directory = os.path.realpath(path)
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory
