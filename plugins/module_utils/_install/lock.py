# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One run at a time changes a directory: two controllers, or a run that outlived its connection, take turns."""

from __future__ import annotations

import contextlib
import os
from typing import Iterator
from urllib.parse import quote

from ansible_collections.gguf.fleet.plugins.module_utils._files import lock
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem


@contextlib.contextmanager
def exclusive(directory: str, seconds: float) -> Iterator[None]:
    """Wait for the runs before, at most so long. The lock lies among our state, whoever may enter the directory."""
    state = Ledger().directory
    name = quote(os.path.abspath(directory).strip("/"), safe="") + ".lock"
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock.exclusive(os.path.join(state, "locks"), name, seconds, directory))
        except Problem as error:
            raise InstallProblem(error.problem, error.remedy) from error
        except OSError as error:
            raise InstallProblem(
                f"no lock can be made below {state}: {error.strerror}.",
                "Run as root, and look at the disk.",
            ) from error
        yield
