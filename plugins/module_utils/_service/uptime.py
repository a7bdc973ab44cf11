# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which process a service is, and since when it runs."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._host import processes

FIELDS = ("pid", "started_at", "uptime_seconds")


def since(pid: int, proc: str = "/proc") -> Dict[str, Any]:
    """Which process it is, since when and for how long it runs; empty where it does not."""
    seconds = processes.age_seconds(pid, proc) if pid else None
    if seconds is None:
        return {}
    begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds))
    return dict(zip(FIELDS, (pid, begun, int(seconds))))


def running(services: Sequence[str], pid_of: Callable[[str], int], proc: str = "/proc") -> List[Dict[str, Any]]:
    """Of each service that runs: its name, the pid of its process, since when and for how long."""
    told = {service: since(pid_of(service), proc) for service in services}
    return [{"name": service, **process} for service, process in told.items() if process]
