# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing of ours lies where every user may make a name before us."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OPEN = re.compile(r"(?<![\w.])(/var/tmp|/tmp|/dev/shm)\b")


def test_no_role_module_or_playbook_names_a_place_that_everybody_can_write_to() -> None:
    files = [
        path for folder in ("plugins", "roles", "playbooks") for path in (ROOT / folder).rglob("*") if path.is_file()
    ]
    named = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in files
        if path.suffix in ("", ".py", ".yml", ".j2", ".sh")
        for line in path.read_text(encoding="utf-8").split("\n")
        if OPEN.search(line)
    ]
    assert named == []
