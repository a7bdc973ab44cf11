# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.gguf.fleet.plugins.module_utils._action import sentence, sentences

MODULES = sorted(Path(__file__).resolve().parents[4].glob("plugins/modules/*.py"))


def test_a_step_is_one_line_with_its_bytes_and_reasons() -> None:
    assert sentence("restart", "ollama") == "restart ollama"
    assert sentence("restart", "ollama", reasons=("the unit changed", "so did its version")) == (
        "restart ollama: the unit changed, so did its version"
    )
    assert sentence("fetch", "a\nb", size_bytes=1234) == "fetch a\\x0ab (1,234 bytes)"


def test_steps_as_values_are_the_same_sentences() -> None:
    link = {"action": "hard_link", "path": "/blobs/sha256-1", "size_bytes": 5, "reason": "not there yet"}
    assert sentences([link, {"action": "make", "path": "/blobs"}]) == [
        "hard link /blobs/sha256-1 (5 bytes): not there yet",
        "make /blobs",
    ]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_module_returns_its_actions_as_sentences(module: Path) -> None:
    found = re.search(r'^RETURN = r"""\n(.*?)^"""', module.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    returned = yaml.safe_load(found.group(1)) if found else {}
    items = [values.get("contains") or {} for values in returned.values()]
    for actions in [level["actions"] for level in (returned, *items) if "actions" in level]:
        assert (actions["type"], actions["elements"]) == ("list", "str")
