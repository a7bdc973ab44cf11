# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """What the modules of this collection promise, said once."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and tells what would change without changing it.
  diff_mode:
    description: Returns what changed, or what would change in C(check_mode), in diff format.
  idempotent:
    description: Run again with the same options, it changes nothing.
  platform:
    description: Operating systems on which the module runs.
    platforms: linux
"""

    # For modules that only read.
    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode); the module only reads.
    support: full
  diff_mode:
    description: Returns what changed; the module never changes anything.
    support: N/A
  idempotent:
    description: Run again with the same options, it changes nothing.
    support: full
  platform:
    description: Operating systems on which the module runs.
    support: full
    platforms: linux
"""

    # For modules that change something and support all of it.
    CHANGES = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and tells what would change without changing it.
    support: full
  diff_mode:
    description: Returns what changed, or what would change in C(check_mode), in diff format.
    support: full
  idempotent:
    description: Run again with the same options, it changes nothing.
    support: full
  platform:
    description: Operating systems on which the module runs.
    support: full
    platforms: linux
"""
