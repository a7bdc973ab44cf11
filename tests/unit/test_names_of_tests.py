# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each file of unit tests has a name of its own: pytest knows it by that alone, as their folders are no packages."""

from __future__ import annotations

from collections import Counter
from pathlib import Path


def test_no_two_files_of_unit_tests_have_one_name() -> None:
    names = Counter(path.name for path in Path(__file__).parent.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
