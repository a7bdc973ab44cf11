# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The NUMA node of a card by the kernel, where the driver does not tell: on most x86 servers it does not."""

from __future__ import annotations

import os
import re
from typing import Optional

from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

DEVICES = "/sys/bus/pci/devices"
# NVML writes the domain with eight digits, the kernel with four or as many as it takes.
_BUS_ID = re.compile(r"(?P<domain>[0-9a-f]{4,8}):(?P<rest>[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\Z")


def numa_node_of(bus_id: Optional[str], devices: str = DEVICES) -> Optional[int]:
    """The node of the card with this PCI bus id; None where the kernel does not tell either."""
    parts = _BUS_ID.match((bus_id or "").lower())
    if parts is None:
        return None
    name = f"{int(parts.group('domain'), 16):04x}:{parts.group('rest')}"
    try:
        node = int(read_file(os.path.join(devices, name, "numa_node"), limit_bytes=64))
    except (Problem, OSError, ValueError):
        return None
    # A machine with one node says -1.
    return node if node >= 0 else None
