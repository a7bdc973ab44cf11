# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directories of a store: made once, and after that the server's."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import store_directories


def test_a_part_that_the_server_removed_because_it_was_empty_is_no_change(tmp_path: Path) -> None:
    models, owner = tmp_path / "models", (os.geteuid(), os.getegid())
    ledger = Ledger(str(tmp_path / "ledger.json"))
    made = store_directories.present(str(models), owner, ledger)
    assert len(made.actions) == 3
    (models / "manifests").rmdir()
    for check in (True, False):
        assert store_directories.present(str(models), owner, ledger, check=check).actions == ()
