# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any, Dict, Optional

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.residency import Resident, resident


def test_for_ever_is_three_centuries_to_the_server() -> None:
    assert Resident(expires_at="2318-05-01T12:00:00Z").pinned
    assert not Resident(expires_at="2026-05-01T12:00:00Z").pinned
    assert not Resident().pinned


@pytest.mark.parametrize(
    ("told", "share"),
    [
        ({"size": 1000, "size_vram": 660}, 0.66),
        ({"size": 1000, "size_vram": 0}, 0.0),
        ({"size": 1000, "size_vram": 1200}, 1.0),
        ({"size": 0, "size_vram": 0}, None),
        ({"size": 1000}, None),
        ({"size": "1000", "size_vram": {}}, None),
    ],
)
def test_the_share_on_gpus_is_what_the_engine_tells_or_unknown(told: Dict[str, Any], share: Optional[float]) -> None:
    assert resident(told).share == share
