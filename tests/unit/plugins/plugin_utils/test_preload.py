# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read before the workers start is all that they would read by themselves."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.gguf.fleet.plugins.plugin_utils.preload import FILTERS

FOLDER = Path(__file__).resolve().parents[4] / "plugins" / "filter"


def test_every_filter_is_read() -> None:
    assert sorted(FILTERS) == sorted(path.stem for path in FOLDER.glob("*.py"))
