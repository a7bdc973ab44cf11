# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""An installation that is not ours, as Ollama's install.sh makes it: where it is, and which version."""

from __future__ import annotations

import os
from typing import Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._install import engines

# Where install.sh puts the program: the first of them that is in the PATH.
INSTALL_SH = ("/usr/local/bin", "/usr/bin", "/bin")


def installed_version(engine: engines.Engine, prefix: str) -> str:
    """What install.sh has put there. Raises InstallProblem where it does not print its version."""
    return engines.ask_version(engine, os.path.join(prefix, "bin", engine.program))


def adoptable(engine: engines.Engine, root: str, directories: Sequence[str] = INSTALL_SH) -> Optional[str]:
    """The prefix of an installation that is not ours: the command is a real file, not a link of ours."""
    for directory in directories:
        real = os.path.realpath(os.path.join(directory, engine.program))
        ours = real.startswith(os.path.realpath(root) + os.sep)
        if os.path.isfile(real) and not ours and real.endswith(os.path.join("/bin", engine.program)):
            return os.path.dirname(os.path.dirname(real))
    return None
