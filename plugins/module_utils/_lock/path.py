# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A folder with the files, on the machine that reads it: a host's own, or a share that is mounted there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import (
    ListedFile,
    Listing,
    listed_file,
    refuse_duplicates,
)
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import Request, folder_of

SUFFIX = ".gguf"


def list_repository(request: Request, token: Optional[str]) -> Listing:
    """The GGUF files below the folder. Their checksums are known only where they are given or sealed."""
    folder = folder_of(request)
    if not folder.is_dir():
        raise HubProblem(
            f"{folder} is not a folder on this machine.",
            "Give the folder that holds the files. It is read where gguf_resolve runs (the role models: on hosts).",
        )
    files: List[ListedFile] = []
    for parent, _folders, names in os.walk(folder, followlinks=False):
        for name in names:
            location = Path(parent, name)
            if name.lower().endswith(SUFFIX) and location.is_file():
                path = location.relative_to(folder).as_posix()
                files.append(listed_file(path, location.stat().st_size, None, location.as_uri(), where=str(folder)))
    return Listing(
        hub="path",
        endpoint=folder.as_uri(),
        repo=None,
        revision=None,
        commit=None,
        files=refuse_duplicates(files, where=str(folder)),
    )


def url_in(request: Request, path: str) -> str:
    """The address of a file of the folder."""
    return (folder_of(request) / path).as_uri()
