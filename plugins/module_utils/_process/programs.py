# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Where a program of the system is."""

from __future__ import annotations

import os
import shutil
from typing import Optional

# Not in the PATH of a user without rights.
_MORE = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def find_program(name: str) -> Optional[str]:
    """The whole path of a program by its name or path; None where this host has none."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_MORE)))
