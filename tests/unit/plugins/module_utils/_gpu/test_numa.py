# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The NUMA node of a card from a tree like the kernel's."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.numa import numa_node_of


@pytest.mark.parametrize(
    ("bus_id", "node"),
    [
        ("00000000:17:00.0", 0),
        ("00000000:CA:00.0", 1),
        ("0000:ca:00.0", 1),
        ("00010000:01:00.0", 3),
        ("00000000:18:00.0", None),
        ("00000000:99:00.0", None),
        ("../../etc", None),
        (None, None),
    ],
)
def test_the_kernel_tells_the_node_by_its_own_name_of_the_card(
    tmp_path: Path, bus_id: Optional[str], node: Optional[int]
) -> None:
    (tmp_path / "bus").mkdir()
    for name, told in {"0000:17:00.0": "0", "0000:ca:00.0": "1", "10000:01:00.0": "3", "0000:18:00.0": "-1"}.items():
        there = tmp_path / "devices" / name
        there.mkdir(parents=True)
        (there / "numa_node").write_text(told + "\n")
        # As the kernel has them.
        (tmp_path / "bus" / name).symlink_to(there)
    assert numa_node_of(bus_id, str(tmp_path / "bus")) == node
