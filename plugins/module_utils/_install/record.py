# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What the ledger knows of installed releases: the archives that each version came from."""

from __future__ import annotations

from typing import Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._install import releases
from ansible_collections.gguf.fleet.plugins.module_utils._install.engines import Engine
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger

KIND = "release"


def read(engine: Engine, root: str) -> releases.Installed:
    sums = {
        entry.notes["version"]: tuple(entry.notes["archives"])
        for entry in Ledger().entries(kind=KIND, engine=engine.name, root=root)
        if entry.is_current()
    }
    return releases.read_installed(root, engine.program, sums)


def write(engine: Engine, root: str, version: str, sums: Sequence[str]) -> None:
    Ledger().record(
        releases.directory(root, version),
        sha256=sums[0],
        kind=KIND,
        engine=engine.name,
        root=root,
        version=version,
        archives=list(sums),
    )


def forget(root: str, version: str) -> None:
    Ledger().forget(releases.directory(root, version))
