# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Files beside an inventory whose names were changed: Ansible reads all that it finds in a folder as an inventory.

It leaves out what ends in .txt.
"""

from __future__ import annotations

import contextlib
import os
from typing import Mapping

# What each was called before.
OLD_NAMES: Mapping[str, str] = {"models.lock.txt": "models.lock.yml", "ollama-releases.txt": "ollama-releases.sha256"}


def place(path: str) -> str:
    """Where the file is now: at its path, or under its old name as long as nobody has moved it."""
    old = _old(path)
    return old if old and not os.path.lexists(path) and os.path.lexists(old) else path


def move(path: str) -> str:
    """Give the file its new name; a sentence where that was to be done. Raises OSError."""
    old = place(path)
    if old == path:
        return ""
    # Another task of the same run may have been quicker.
    with contextlib.suppress(FileNotFoundError):
        os.rename(old, path)
    return f"{old} is called {os.path.basename(path)} now, since Ansible reads {os.path.basename(old)} as an inventory."


def _old(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, OLD_NAMES[name]) if name in OLD_NAMES else ""
