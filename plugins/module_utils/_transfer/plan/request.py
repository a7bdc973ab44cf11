# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What is wanted of a transfer, and what came of it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.journal import identity
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.lease import Places
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.sources import Access
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.pipeline import Settings
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import MERGED, LockedFile, locked_files


@dataclass(frozen=True)
class Request:
    """What is wanted. name: what messages call it. from_controller: the files are there, and it sends them."""

    lock: Mapping[str, Any]
    dest: str
    layout: str = MERGED
    mirrors: Sequence[str] = ()
    find_in: Sequence[str] = ()
    ollama_stores: Sequence[str] = ()
    access: Access = field(default_factory=Access)
    settings: Settings = field(default_factory=Settings)
    name: str = ""
    from_controller: bool = False

    @property
    def shown_name(self) -> str:
        return self.name or os.path.basename(self.dest)

    @property
    def files(self) -> Tuple[LockedFile, ...]:
        return locked_files(self.lock)

    @property
    def paths(self) -> Tuple[str, ...]:
        """The files that shall be there."""
        if self.layout == MERGED:
            return (self.dest,)
        return tuple(os.path.join(self.dest, file.name) for file in self.files)

    @property
    def sizes(self) -> Tuple[int, ...]:
        """The bytes of each of them, as the lock tells."""
        if self.layout == MERGED and len(self.files) > 1:
            return (int(self.lock["merged"]["size_bytes"]),)
        return tuple(file.size_bytes for file in self.files)

    @property
    def places(self) -> Places:
        return Places(self.paths[0])

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(identity(self.files, self.layout), sort_keys=True).encode()).hexdigest()

    def expected(self, index: int) -> Optional[str]:
        """The checksum that the lock knows for an output."""
        if self.layout == MERGED and len(self.files) > 1:
            return (self.lock.get("merged") or {}).get("sha256") or None
        return self.files[index].sha256


@dataclass
class Result:
    """What is there now, and what it took."""

    changed: bool
    paths: Tuple[str, ...]
    size_bytes: int = 0
    sha256: Dict[str, Optional[str]] = field(default_factory=dict)
    file_sha256: Dict[str, str] = field(default_factory=dict)
    bytes_moved: int = 0
    bytes_to_move: int = 0
    disk_bytes: int = 0
    seconds: float = 0.0
    expected_seconds: Optional[float] = None
    sources: Dict[str, int] = field(default_factory=dict)
    actions: List[str] = field(default_factory=list)
