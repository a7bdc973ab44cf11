# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a host has of NVIDIA's cards, whether or not a driver runs, and who may use them."""

from __future__ import annotations

import glob
import grp
import os
from typing import List

_NVIDIA, _DISPLAY = "0x10de", "0x03"
_GROUPS = ("render", "video")


def nvidia_cards() -> int:
    """How many are on the PCI bus."""
    cards = 0
    for device in map(os.path.basename, glob.glob("/sys/bus/pci/devices/*")):
        try:
            with open(f"/sys/bus/pci/devices/{device}/vendor", encoding="ascii") as stream:
                vendor = stream.read().strip()
            with open(f"/sys/bus/pci/devices/{device}/class", encoding="ascii") as stream:
                kind = stream.read().strip()
        except OSError:
            continue
        cards += vendor == _NVIDIA and kind.startswith(_DISPLAY)
    return cards


def device_groups() -> List[str]:
    """Which of the groups that own GPU devices exist."""
    names = {group.gr_name for group in grp.getgrall()}
    return [name for name in _GROUPS if name in names]
