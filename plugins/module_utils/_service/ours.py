# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which services of a host are ours: each has a file of ours beside its unit."""

from __future__ import annotations

import glob
import os
from typing import List

from ansible_collections.gguf.fleet.plugins.module_utils._service import supervised
from ansible_collections.gguf.fleet.plugins.module_utils._service.manager import UNITS


def services(manager: str, prefix: str) -> List[str]:
    """The names of those that this manager runs and that begin so, sorted."""
    if manager != "systemd":
        return supervised.services(prefix)
    drop_ins = glob.glob(os.path.join(UNITS, f"{glob.escape(prefix)}*.service.d", "gguf-fleet.conf"))
    return sorted(os.path.basename(os.path.dirname(path))[: -len(".service.d")] for path in drop_ins)


def all_services() -> List[str]:
    """The names of all, whoever runs them."""
    return sorted({name for manager in ("systemd", "supervisord") for name in services(manager, "")})
