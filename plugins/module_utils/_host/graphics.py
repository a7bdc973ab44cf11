# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a host has of graphics cards, whether or not a driver runs, and who may use them."""

from __future__ import annotations

import glob
import grp
import os
import re
from typing import List

_NVIDIA, _AMD, _DISPLAY = "0x10de", "0x1002", "0x03"
_DRIVER = re.compile(r"\s(\d{3,4}\.\d+(?:\.\d+)?)\s")
_GROUPS = ("render", "video")


def nvidia_cards() -> int:
    """How many are on the PCI bus."""
    return _cards(_NVIDIA)


def amd_cards() -> int:
    """How many are on the PCI bus."""
    return _cards(_AMD)


def nvidia_driver() -> str:
    """The version of the driver that runs; empty where none does."""
    try:
        with open("/proc/driver/nvidia/version", encoding="ascii", errors="replace") as stream:
            return driver_told(stream.readline())
    except OSError:
        return ""


def driver_told(line: str) -> str:
    """The version in the first line that the kernel module tells of itself."""
    found = _DRIVER.search(line)
    return found.group(1) if found else ""


def _cards(wanted: str) -> int:
    cards = 0
    for device in map(os.path.basename, glob.glob("/sys/bus/pci/devices/*")):
        try:
            with open(f"/sys/bus/pci/devices/{device}/vendor", encoding="ascii") as stream:
                vendor = stream.read().strip()
            with open(f"/sys/bus/pci/devices/{device}/class", encoding="ascii") as stream:
                kind = stream.read().strip()
        except OSError:
            continue
        cards += vendor == wanted and kind.startswith(_DISPLAY)
    return cards


def device_groups() -> List[str]:
    """Which of the groups that own GPU devices exist."""
    names = {group.gr_name for group in grp.getgrall()}
    return [name for name in _GROUPS if name in names]
