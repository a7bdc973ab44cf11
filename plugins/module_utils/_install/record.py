# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What the ledger knows of installed releases: the archives that each version came from, or that it was adopted."""

from __future__ import annotations

import os
from typing import Any, Callable, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._install import releases
from ansible_collections.gguf.fleet.plugins.module_utils._install.engines import Engine
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Entry, Ledger

KIND = "release"


def _entries(engine: Engine, root: str) -> Mapping[str, Entry]:
    return {
        entry.notes["version"]: entry
        for entry in Ledger().entries(kind=KIND, engine=engine.name, root=root)
        if _is_whole(entry.notes)
        and entry.path == os.path.abspath(releases.directory(root, entry.notes["version"]))
        and entry.is_current()
    }


def _is_whole(notes: Mapping[str, Any]) -> bool:
    """An entry that somebody edited, or that another version wrote, says nothing."""
    archives = notes.get("archives")
    texts = [notes.get("version"), *(archives if isinstance(archives, list) else [None])]
    return all(isinstance(text, str) for text in texts)


def read(engine: Engine, root: str) -> releases.Installed:
    digests = {version: tuple(entry.notes["archives"]) for version, entry in _entries(engine, root).items()}
    return releases.read_installed(root, engine.program, digests)


def adopted(engine: Engine, root: str) -> Optional[str]:
    """The version that was taken in from another installer."""
    return next((version for version, entry in _entries(engine, root).items() if entry.notes.get("adopted")), None)


def writer(
    engine: Engine, root: str, known: Sequence[str] = (), *, adopted: bool = False
) -> Callable[[str, Sequence[str]], object]:
    """Notes the directory of a version with the checksums that came, or with those that were known before."""

    def write(path: str, digests: Sequence[str]) -> None:
        archives = list(known or digests)
        Ledger().record(
            path,
            sha256=archives[0] if archives else None,
            kind=KIND,
            engine=engine.name,
            root=root,
            version=os.path.basename(path),
            archives=archives,
            adopted=adopted,
        )

    return write


def forget(root: str, version: str) -> None:
    Ledger().forget(releases.directory(root, version))
