# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which process a service is, and since when it runs."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._host import processes


def running(services: Sequence[str], pid_of: Callable[[str], int], proc: str = "/proc") -> List[Dict[str, Any]]:
    """Of each service that runs: its name, the pid of its process, since when and for how long."""
    found = []
    for service in services:
        pid = pid_of(service)
        seconds = processes.age_seconds(pid, proc) if pid else None
        if seconds is not None:
            begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds))
            found.append({"name": service, "pid": pid, "started_at": begun, "uptime_seconds": int(seconds)})
    return found
